"""Owns social_accounts and oauth_tokens, and the states of OAuth flows under way.

Emits AccountConnected, AccountReconnected, AccountReviewRequested, AccountDisconnected,
TokenRefreshed and TokenLeased on `accounts.events`. Consumes `identity.events` (members) and
`ingestion.events` (AuthorizationRevoked).
"""
