"""X (API v2) as section 4 of the platform notes has it."""
