"""How Rookery is run: gateway, local stack, topics, database roles."""
