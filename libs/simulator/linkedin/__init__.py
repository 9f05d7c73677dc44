"""LinkedIn (versioned REST API) as section 3 of the platform notes has it."""
