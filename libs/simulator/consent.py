"""The consent page of every platform, and the switch that answers it without a browser."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from libs.simulator.people import Person
from libs.simulator.wire import Platform, loopback


class Choice(BaseModel):
    """How authorize answers: by page, or at once by allowing or denying as a given person."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    mode: Literal["page", "allow", "deny"] = "page"
    handle: Annotated[str | None, Field(alias="as")] = None
    # The scopes the person ticks; None grants all that were asked for.
    grant_scopes: list[str] | None = None


@dataclass(frozen=True)
class Asked:
    """A valid authorize request."""

    platform: Platform
    redirect_uri: str
    state: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Ways:
    """What differs between platforms once the person has answered."""

    # Makes a code for the person and the granted scopes.
    code: Callable[[Person, tuple[str, ...]], str]
    denied: dict[str, str]
    fragment: str = ""


def loopback_callback(uri: str, platform: Platform) -> bool:
    """Whether the URI is registered: this machine's own callback for the platform."""
    if not loopback(uri):
        return False
    parts = urlsplit(uri)
    wanted = f"/v1/oauth/{platform}/callback"
    bare = not (parts.query or parts.fragment or parts.username)
    return bare and parts.path.endswith(wanted)


def back(asked: Asked, answer: dict[str, str], fragment: str = "") -> Response:
    """The redirect to the client with an answer and its state."""
    query = urlencode({**answer, "state": asked.state})
    return RedirectResponse(f"{asked.redirect_uri}?{query}{fragment}", status_code=302)


def page_error(message: str) -> Response:
    """What a person sees when the client cannot be trusted with a redirect."""
    return HTMLResponse(_PAGE.format(body=f"<p>{escape(message)}</p>"), status_code=400)


async def answer(
    request: Request, asked: Asked, ways: Ways, people: list[Person], choice: Choice
) -> Response:
    """The page, or the redirect that follows the person's answer."""
    if request.method == "POST":
        pairs = parse_qsl((await request.body()).decode("utf-8", "replace"))
        fields = dict(pairs)
        ticked = [value for name, value in pairs if name == "scope"]
        choice = Choice(
            mode="allow" if fields.get("decision") == "allow" else "deny",
            handle=fields.get("as"),
            grant_scopes=ticked,
        )
    if choice.mode == "page":
        return HTMLResponse(_page(asked, people))
    if choice.mode == "deny":
        return back(asked, ways.denied, ways.fragment)
    person = _chosen(people, choice.handle)
    if person is None:
        return page_error("There is no such person on this platform.")
    wanted = choice.grant_scopes
    granted = tuple(s for s in asked.scopes if wanted is None or s in wanted)
    if not granted:
        return back(asked, ways.denied, ways.fragment)
    return back(asked, {"code": ways.code(person, granted)}, ways.fragment)


def _chosen(people: list[Person], handle: str | None) -> Person | None:
    if handle is None:
        return people[0] if people else None
    return next((person for person in people if person.handle == handle), None)


def _page(asked: Asked, people: list[Person]) -> str:
    options = "".join(
        f'<option value="{escape(p.handle)}">{escape(p.name)} (@{escape(p.handle)})</option>'
        for p in people
    )
    boxes = "".join(
        f'<label><input type="checkbox" name="scope" value="{escape(s)}" checked> '
        f"{escape(s)}</label>"
        for s in asked.scopes
    )
    body = (
        f"<h1>Simulated {escape(asked.platform)}</h1>"
        "<p>Rookery would like to use this account:</p>"
        f'<form method="post"><select name="as">{options}</select>'
        f"<fieldset><legend>It will be able to</legend>{boxes}</fieldset>"
        '<button name="decision" value="allow">Allow</button> '
        '<button name="decision" value="deny">Deny</button></form>'
    )
    return _PAGE.format(body=body)


_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Simulated consent</title>'
    "<style>body{{font:16px system-ui;max-width:30rem;margin:4rem auto}}"
    "label{{display:block}}</style></head><body>{body}</body></html>"
)
