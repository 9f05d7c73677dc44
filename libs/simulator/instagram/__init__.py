"""Instagram (Instagram Login variant) as section 1 of the platform notes has it."""
