"""Owns: what the platforms said (events), their dedupe keys, quarantine, routes, poll schedule.
Emits: `ingestion.events`, the translation of each row.
Consumes: `accounts.events` (whose account an id is), `identity.events` (who may read).
"""
