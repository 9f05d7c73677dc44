"""Every event that crosses a service boundary, one module per owner.

`event` holds the base class and the registry, `envelope` the CloudEvents form on the wire,
`identity`, `accounts` and `ingestion` the events each of those services emits.
"""
