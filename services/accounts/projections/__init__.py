"""The table that folds the log, written in the transaction of the events."""
