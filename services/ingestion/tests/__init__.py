"""Tests of ingestion, over real HTTP and on a real PostgreSQL."""
