"""The receiver's side of the bargain, checked as each platform checks it."""

import secrets
import uuid

import httpx

from libs.simulator import signing
from libs.simulator.simulation import Simulation
from libs.simulator.wire import Json, Platform

_CHALLENGE_SECONDS = 3.0
_CRC_SECONDS = 10.0


async def check(
    sim: Simulation, client: httpx.AsyncClient, platform: Platform, url: str | None = None
) -> Json:
    """`{passed, why, status}` for the receiver's callback; passed is null where none exists.

    Never raises for what the receiver does.
    """
    url = url or f"{sim.settings.webhook_target}/webhooks/{platform}"
    try:
        if platform == "instagram":
            return await _instagram(sim, client, url)
        if platform == "linkedin":
            return await _linkedin(sim, client, url)
        if platform == "x":
            return await _x(sim, client, url)
    except httpx.HTTPError as error:
        return _result(f"no answer: {type(error).__name__}", None)
    return {"passed": None, "why": "TikTok has no handshake", "status": None}


async def _instagram(sim: Simulation, client: httpx.AsyncClient, url: str) -> Json:
    challenge = str(10**9 + secrets.randbelow(10**9))
    answer = await client.get(
        url,
        params={
            "hub.mode": "subscribe",
            "hub.verify_token": sim.settings.instagram_verify_token,
            "hub.challenge": challenge,
        },
    )
    if answer.status_code != 200:
        return _result("the status is not 200", answer)
    if answer.content != challenge.encode():
        return _result("the body is not exactly the challenge", answer)
    return _result(None, answer)


async def _linkedin(sim: Simulation, client: httpx.AsyncClient, url: str) -> Json:
    code = str(uuid.uuid4())
    answer = await client.get(url, params={"challengeCode": code}, timeout=_CHALLENGE_SECONDS)
    if answer.status_code != 200:
        return _result("the status is not 200", answer)
    body = _json(answer)
    if body.get("challengeCode") != code:
        return _result("challengeCode is not the one sent", answer)
    expected = signing.linkedin_challenge(sim.settings.linkedin_client_secret, code)
    if body.get("challengeResponse") != expected:
        return _result("challengeResponse is wrong", answer)
    return _result(None, answer)


async def _x(sim: Simulation, client: httpx.AsyncClient, url: str) -> Json:
    token = secrets.token_urlsafe(24)
    answer = await client.get(url, params={"crc_token": token}, timeout=_CRC_SECONDS)
    if answer.status_code != 200:
        return _result("the status is not 200", answer)
    expected = signing.x(sim.settings.x_consumer_secret, token.encode())
    if _json(answer).get("response_token") != expected:
        return _result("response_token is wrong", answer)
    return _result(None, answer)


def _json(answer: httpx.Response) -> Json:
    """The answer as a JSON object; empty for anything else, whatever its content type says."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return {}
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _result(why: str | None, answer: httpx.Response | None) -> Json:
    return {
        "passed": why is None,
        "why": why,
        "status": None if answer is None else answer.status_code,
    }
