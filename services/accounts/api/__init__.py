"""Routes of accounts: the connected accounts, the OAuth callback, and leases for services."""

from fastapi import APIRouter

from services.accounts.api import accounts, leases, oauth

ROUTERS: tuple[APIRouter, ...] = (accounts.router, oauth.router, leases.router)
