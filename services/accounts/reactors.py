"""What others report and accounts act upon."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.clock import Clock
from libs.contracts.envelope import Metadata
from libs.contracts.event import Event
from libs.contracts.ingestion import AuthorizationRevoked
from libs.projections.reader import Reader, Received, reactor
from services.accounts.domain import Disconnect
from services.accounts.projections.social_accounts import decide, lock, one
from services.accounts.tokens import Tokens

log = structlog.get_logger(__name__)
REVOKED = "revoked-at-platform"
# The platform's clock may be behind ours, and some tell whole seconds only.
_SKEW = timedelta(seconds=5)


def revocations(tokens: Tokens, clock: Clock) -> Reader:
    """`accounts.revocations`: the platform says that a grant is gone, so the account is
    disconnected and its tokens are wiped. A revocation from before the present grant is void.
    """

    async def handle(connection: AsyncConnection, received: Received[Event]) -> None:
        event = received.event
        if not isinstance(event, AuthorizationRevoked):
            return
        await lock(connection, event.account_id)
        account = await one(connection, event.account_id)
        if account is None:
            log.warning("revocation of an unknown account", account_id=str(event.account_id))
            return
        stored = await tokens.read(connection, event.account_id)
        if stored is not None and event.occurred_at < stored.granted_at - _SKEW:
            return
        envelope = received.envelope
        await decide(
            connection,
            event.account_id,
            Disconnect(REVOKED),
            workspace_id=account["workspace_id"],
            metadata=Metadata(
                correlation_id=envelope.metadata.correlation_id,
                causation_id=str(envelope.id),
                traceparent=envelope.metadata.traceparent,
            ),
            now=clock.now(),
        )
        await tokens.wipe(connection, event.account_id)

    return reactor(
        "accounts.revocations",
        topics=["ingestion.events"],
        events=[AuthorizationRevoked],
        handle=handle,
    )
