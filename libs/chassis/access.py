"""Who may do this here: FastAPI dependencies that a route names in its signature."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.database import Database
from libs.chassis.errors import Forbidden, NotFound, Unauthorized
from libs.chassis.http import metadata_of
from libs.chassis.members import role_of
from libs.chassis.tokens import Principal, ServiceTokens, TokenVerifier
from libs.contracts.envelope import Metadata
from libs.contracts.identity import Role


class NotAMember(NotFound):
    """The workspace does not exist, or not for this person; both look the same."""

    slug = "workspace-not-found"
    title = "No such workspace among yours; if it was made a moment ago, try again"


@dataclass(frozen=True)
class Gate:
    """What the dependencies below need; a service puts one at `app.state.gate`.

    `role_of` looks a membership up; identity gives its own table, the others their copy.
    """

    database: Database
    verifier: TokenVerifier
    service_name: str
    service_tokens: ServiceTokens
    role_of: Callable[[AsyncConnection, UUID, UUID], Awaitable[Role | None]] = role_of


@dataclass(frozen=True)
class Access:
    """A member at work in a workspace."""

    user_id: UUID
    workspace_id: UUID
    role: Role
    metadata: Metadata
    database: Database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees this workspace's rows only; commits at the end of the block."""
        async with self.database.transaction(
            workspace_id=self.workspace_id, user_id=self.user_id
        ) as connection:
            yield connection


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized(headers={"WWW-Authenticate": "Bearer"})
    return token.strip()


async def signed_in(request: Request) -> Principal:
    """Anyone with a valid access token. Raises Unauthorized."""
    gate: Gate = request.app.state.gate
    return await gate.verifier.verify(_bearer(request))


SignedIn = Annotated[Principal, Depends(signed_in)]


async def operator(principal: SignedIn) -> Principal:
    """An operator of the installation. Raises Forbidden for everyone else."""
    if not principal.operator:
        raise Forbidden("This needs an operator")
    return principal


Operator = Annotated[Principal, Depends(operator)]


async def calling_service(request: Request) -> str:
    """Another service's name, by its signed token. Raises Unauthorized."""
    gate: Gate = request.app.state.gate
    return gate.service_tokens.verify(_bearer(request), callee=gate.service_name)


CallingService = Annotated[str, Depends(calling_service)]


def _member(*roles: Role) -> Any:
    async def dependency(
        request: Request, principal: SignedIn, ws: Annotated[UUID, Path()]
    ) -> Access:
        gate: Gate = request.app.state.gate
        async with gate.database.transaction(
            workspace_id=ws, user_id=principal.user_id
        ) as connection:
            role = await gate.role_of(connection, ws, principal.user_id)
        if role is None:
            raise NotAMember
        if role not in roles:
            raise Forbidden(f"This needs one of the roles {', '.join(roles)}; yours is {role}")
        return Access(
            user_id=principal.user_id,
            workspace_id=ws,
            role=role,
            metadata=metadata_of(request, principal.user_id),
            database=gate.database,
        )

    return Depends(dependency)


AnyMember = Annotated[Access, _member("owner", "editor", "analyst")]
Editor = Annotated[Access, _member("owner", "editor")]
Owner = Annotated[Access, _member("owner")]
