"""Backups of the PostgreSQL server: taken by Barman, restored and proven by commands of ours.

`archive` calls Barman; `schedule` is the process that runs for ever; `restore` brings a server back
to a moment, `checks` says whether it is whole, `drill` does both on the side; `reconcile` makes the
broker agree with a restored server.
"""
