"""Owns: metrics_snapshots, follower_changes, top_content, audience_insights (projections only).
Emits: nothing.
Consumes: `ingestion.events` (what is counted), `accounts.events` (whose it is), `identity.events`.
"""
