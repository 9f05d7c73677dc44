import asyncio
from datetime import timedelta

import httpx
from sqlalchemy import text

from services.identity.housekeeping import sweep

from .conftest import App


async def refresh(app: App, token: str) -> httpx.Response:
    return await app.http.post("/v1/auth/refresh", json={"refresh_token": token})


async def start(app: App) -> str:
    await app.register("ana@example.org")
    return (await app.tokens("ana@example.org"))["refresh_token"]


async def test_refreshing_gives_new_tokens_that_work(app: App) -> None:
    first = await start(app)
    second = (await refresh(app, first)).json()
    assert second["refresh_token"] != first
    who = {"authorization": f"Bearer {second['access_token']}"}
    assert (await app.http.get("/v1/me", headers=who)).status_code == 200
    app.clock.advance(timedelta(hours=1))
    assert (await refresh(app, second["refresh_token"])).status_code == 200


async def test_a_repeat_within_ten_seconds_gets_the_same_successor(app: App) -> None:
    first = await start(app)
    answers = await asyncio.gather(*(refresh(app, first) for _ in range(5)))
    app.clock.advance(timedelta(seconds=10))
    answers.append(await refresh(app, first))
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["refresh_token"] for a in answers}) == 1


async def test_a_repeat_after_that_revokes_the_whole_family(app: App) -> None:
    first = await start(app)
    second = (await refresh(app, first)).json()["refresh_token"]
    app.clock.advance(timedelta(seconds=11))
    assert (await refresh(app, first)).status_code == 401
    answer = await refresh(app, second)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:rookery:problem:bad-refresh-token"


async def test_another_session_survives_that(app: App) -> None:
    first = await start(app)
    other = (await app.tokens("ana@example.org"))["refresh_token"]
    await refresh(app, first)
    app.clock.advance(timedelta(minutes=1))
    await refresh(app, first)
    assert (await refresh(app, other)).status_code == 200


async def test_a_session_ends_after_thirty_days_however_often_it_is_refreshed(app: App) -> None:
    token = await start(app)
    for _ in range(29):
        app.clock.advance(timedelta(days=1))
        token = (await refresh(app, token)).json()["refresh_token"]
    app.clock.advance(timedelta(days=1))
    assert (await refresh(app, token)).status_code == 401


async def test_logging_out_ends_the_session_and_may_be_repeated(app: App) -> None:
    token = await start(app)
    for _ in range(2):
        answer = await app.http.post("/v1/auth/logout", json={"refresh_token": token})
        assert answer.status_code == 204
    assert (await refresh(app, token)).status_code == 401


async def test_nonsense_is_no_refresh_token(app: App) -> None:
    for token in ("", "x", "ä", "A" * 64, "!" * 64):
        assert (await refresh(app, token)).status_code == 401
        answer = await app.http.post("/v1/auth/logout", json={"refresh_token": token})
        assert answer.status_code == 204


async def test_sweeping_forgets_ended_sessions_only(app: App) -> None:
    await start(app)
    app.clock.advance(timedelta(days=29))
    kept = (await app.tokens("ana@example.org"))["refresh_token"]
    app.clock.advance(timedelta(days=3))
    await sweep(app.worker, app.clock)
    async with app.worker.connect() as connection:
        left = (await connection.execute(text("SELECT count(*) FROM sessions"))).scalar_one()
    assert left == 1
    assert (await refresh(app, kept)).status_code == 200
