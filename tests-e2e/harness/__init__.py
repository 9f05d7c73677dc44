"""What the end-to-end tests stand on: stacks, people, webhooks under load, and the accounts of it."""
