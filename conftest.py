"""Fixtures of all tests."""

pytest_plugins = [
    "libs.testing.fixtures",
    "libs.testing.databases",
    "libs.testing.identity",
    "libs.testing.topics",
    "libs.testing.spine",
]
