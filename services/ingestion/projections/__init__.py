"""Ingestion's own copies of what others decide."""
