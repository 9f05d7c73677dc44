"""What a person and a workspace are, and what may happen to them. Pure functions."""
