"""What every service stands on: settings, logging, auth, tenancy, errors, health, process entry."""
