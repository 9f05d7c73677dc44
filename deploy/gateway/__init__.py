"""The one way in from outside: Envoy's configuration, the same wherever it runs."""
