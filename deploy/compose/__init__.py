"""The stack in containers: its secrets, its one-shot jobs, and the commands of `make up`."""
