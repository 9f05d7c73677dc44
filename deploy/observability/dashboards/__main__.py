"""Writes the dashboards."""

from deploy.observability.dashboards import FOLDER, documents

for name, text in documents().items():
    (FOLDER / name).write_text(text)
