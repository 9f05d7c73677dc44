"""The read models, one file each: table, apply and queries together."""
