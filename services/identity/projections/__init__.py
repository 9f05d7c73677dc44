"""The tables that fold the log, written in the transaction of the events."""
