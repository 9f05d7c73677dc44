"""Shared code of the services; each folder's own docstring says what it is for."""
