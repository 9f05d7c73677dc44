"""Entity tags: an update names what it was made from, and fails when that is no longer so."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel

from libs.chassis.errors import Problem

IfMatch = Annotated[str | None, Header(max_length=512)]


class PreconditionFailed(Problem):
    status = 412
    slug = "precondition-failed"
    title = "This has changed since you read it; read it again"


def etag(representation: BaseModel) -> str:
    """A strong entity tag of what a client is shown."""
    digest = hashlib.sha256(representation.model_dump_json().encode()).hexdigest()
    return f'"{digest[:32]}"'


def check(if_match: str | None, representation: BaseModel) -> None:
    """Raise PreconditionFailed unless the header (if there is one) names this representation.

    Call it on a row locked in the transaction that will change it.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if etag(representation) not in {tag.strip() for tag in if_match.split(",")}:
        raise PreconditionFailed
