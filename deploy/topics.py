"""The topics of an installation: one for each service that emits events."""

TOPICS = ("identity.events", "accounts.events", "ingestion.events")
