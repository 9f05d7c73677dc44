"""TikTok (open API v2) as section 2 of the platform notes has it."""
