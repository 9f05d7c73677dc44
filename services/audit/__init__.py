"""Owns: audit_logs, who did what, append-only.
Emits: nothing.
Consumes: every topic, every event.
"""
