"""Routes of identity: signing in, oneself, workspaces and their members."""

from fastapi import APIRouter

from services.identity.api import auth, me, members, workspaces

ROUTERS: tuple[APIRouter, ...] = (auth.router, me.router, workspaces.router, members.router)
