"""The one read model."""
