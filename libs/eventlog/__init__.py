"""A service's log and its way out.

`log` appends, loads and decides; `relay` carries the log to its Kafka topic in commit order;
`source` says how rows become messages; `schema` creates the tables.
"""
