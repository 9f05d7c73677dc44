import asyncio
from datetime import timedelta
from uuid import uuid4

from .conftest import App


async def test_a_created_workspace_is_listed_with_its_owner(app: App) -> None:
    ana, who = await app.person("ana@example.org")
    workspace = await app.workspace(who, "  Team  ")
    listed = (await app.http.get("/v1/workspaces", headers=who)).json()
    (item,) = listed["items"]
    assert listed["next_cursor"] is None
    assert item["id"] == workspace
    assert item["name"] == "Team"
    assert item["owner_id"] == str(ana)
    assert item["role"] == "owner"


async def test_workspaces_come_in_pages(app: App) -> None:
    _, who = await app.person("ana@example.org")
    made = [await app.workspace(who, f"Team {n}") for n in range(5)]
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await app.http.get("/v1/workspaces", headers=who, params=query)).json()
        seen += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert sorted(seen) == sorted(made)


async def test_the_same_key_creates_one_workspace(app: App) -> None:
    _, who = await app.person("ana@example.org")
    headers = who | {"idempotency-key": "abc-1"}
    answers = await asyncio.gather(
        *(app.http.post("/v1/workspaces", json={"name": "Team"}, headers=headers) for _ in range(5))
    )
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1
    other = await app.http.post("/v1/workspaces", json={"name": "Other"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:rookery:problem:idempotency-key-reused"
    _, ben = await app.person("ben@example.org")
    mine = await app.http.post(
        "/v1/workspaces", json={"name": "Team"}, headers=ben | {"idempotency-key": "abc-1"}
    )
    assert mine.json()["id"] != answers[0].json()["id"]


async def test_renaming_needs_what_was_read(app: App) -> None:
    _, who = await app.person("ana@example.org")
    url = f"/v1/workspaces/{await app.workspace(who)}"
    tag = (await app.http.get(url, headers=who)).headers["etag"]
    renamed = await app.http.patch(url, json={"name": "Crew"}, headers=who | {"if-match": tag})
    assert renamed.status_code == 200
    assert renamed.json()["name"] == "Crew"
    stale = await app.http.patch(url, json={"name": "Gang"}, headers=who | {"if-match": tag})
    assert stale.status_code == 412
    fresh = renamed.headers["etag"]
    again = await app.http.patch(url, json={"name": "Gang"}, headers=who | {"if-match": fresh})
    assert again.status_code == 200
    assert (await app.http.patch(url, json={"name": "Free"}, headers=who)).status_code == 200


async def test_of_renames_made_from_the_same_reading_one_wins(app: App) -> None:
    _, who = await app.person("ana@example.org")
    url = f"/v1/workspaces/{await app.workspace(who)}"
    headers = who | {"if-match": (await app.http.get(url, headers=who)).headers["etag"]}
    answers = await asyncio.gather(
        *(app.http.patch(url, json={"name": f"N{n}"}, headers=headers) for n in range(6))
    )
    assert sorted(a.status_code for a in answers) == [200] + [412] * 5


async def test_members_are_added_changed_and_removed(app: App) -> None:
    _, who = await app.person("ana@example.org")
    ben, bens = await app.person("ben@example.org")
    url = f"/v1/workspaces/{await app.workspace(who)}/members"
    app.clock.advance(timedelta(seconds=1))
    added = await app.http.post(
        url, json={"email": "BEN@example.org", "role": "analyst"}, headers=who
    )
    assert added.status_code == 201
    assert added.json()["user_id"] == str(ben)
    listed = (await app.http.get(url, headers=who)).json()["items"]
    assert [(m["email"], m["role"]) for m in listed] == [
        ("ana@example.org", "owner"),
        ("ben@example.org", "analyst"),
    ]
    assert (await app.http.get(url, headers=bens)).status_code == 403
    changed = await app.http.patch(f"{url}/{ben}", json={"role": "owner"}, headers=who)
    assert changed.json()["role"] == "owner"
    assert (await app.http.get(url, headers=bens)).status_code == 200
    assert (await app.http.delete(f"{url}/{ben}", headers=who)).status_code == 204
    gone = await app.http.get(url, headers=bens)
    assert gone.status_code == 404  # at once, though the token is still valid


async def test_a_refused_member_leaves_the_others_as_they_are(app: App) -> None:
    ana, who = await app.person("ana@example.org")
    ben, _ = await app.person("ben@example.org")
    url = f"/v1/workspaces/{await app.workspace(who)}/members"
    body = {"email": "ben@example.org", "role": "editor"}
    assert (await app.http.post(url, json=body, headers=who)).status_code == 201
    for answer, status, slug in [
        (await app.http.post(url, json=body, headers=who), 409, "already-member"),
        (
            await app.http.post(
                url, json={"email": "no@example.org", "role": "editor"}, headers=who
            ),
            404,
            "user-not-found",
        ),
        (await app.http.delete(f"{url}/{ana}", headers=who), 409, "last-owner"),
        (
            await app.http.patch(f"{url}/{ana}", json={"role": "editor"}, headers=who),
            409,
            "last-owner",
        ),
        (await app.http.delete(f"{url}/{uuid4()}", headers=who), 404, "member-not-found"),
        (
            await app.http.patch(f"{url}/{ben}", json={"role": "emperor"}, headers=who),
            422,
            "invalid-input",
        ),
    ]:
        assert (answer.status_code, answer.json()["type"]) == (
            status,
            f"urn:rookery:problem:{slug}",
        )


async def test_a_member_may_leave_but_not_remove_others(app: App) -> None:
    ana, who = await app.person("ana@example.org")
    ben, bens = await app.person("ben@example.org")
    url = f"/v1/workspaces/{await app.workspace(who)}/members"
    await app.http.post(url, json={"email": "ben@example.org", "role": "editor"}, headers=who)
    assert (await app.http.delete(f"{url}/{ana}", headers=bens)).status_code == 403
    assert (await app.http.delete(f"{url}/{ben}", headers=bens)).status_code == 204
    assert (await app.http.get("/v1/workspaces", headers=bens)).json()["items"] == []


async def test_an_owner_who_leaves_is_followed_by_another(app: App) -> None:
    ana, who = await app.person("ana@example.org")
    ben, bens = await app.person("ben@example.org")
    workspace = f"/v1/workspaces/{await app.workspace(who)}"
    await app.http.post(
        f"{workspace}/members", json={"email": "ben@example.org", "role": "owner"}, headers=who
    )
    assert (await app.http.delete(f"{workspace}/members/{ana}", headers=who)).status_code == 204
    assert (await app.http.get(workspace, headers=bens)).json()["owner_id"] == str(ben)


async def test_both_owners_leaving_at_once_leaves_one(app: App) -> None:
    ana, who = await app.person("ana@example.org")
    ben, bens = await app.person("ben@example.org")
    url = f"/v1/workspaces/{await app.workspace(who)}/members"
    await app.http.post(url, json={"email": "ben@example.org", "role": "owner"}, headers=who)
    answers = await asyncio.gather(
        app.http.delete(f"{url}/{ana}", headers=who),
        app.http.delete(f"{url}/{ben}", headers=bens),
    )
    assert sorted(a.status_code for a in answers) == [204, 409]


async def test_a_stranger_sees_no_workspace_at_all(app: App) -> None:
    _, who = await app.person("ana@example.org")
    _, stranger = await app.person("eve@example.org")
    workspace = f"/v1/workspaces/{await app.workspace(who)}"
    nowhere = f"/v1/workspaces/{uuid4()}"
    for method, path, body in [
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("GET", "/members", None),
        ("POST", "/members", {"email": "eve@example.org", "role": "owner"}),
        ("DELETE", f"/members/{uuid4()}", None),
    ]:
        there = await app.http.request(method, workspace + path, json=body, headers=stranger)
        none = await app.http.request(method, nowhere + path, json=body, headers=stranger)
        assert there.status_code == none.status_code == 404
        assert there.json() == none.json()


async def test_events_say_who_and_from_where(app: App) -> None:
    ana, who = await app.person("ana@example.org")
    headers = who | {"x-forwarded-for": "203.0.113.7", "user-agent": "tests/1.0"}
    await app.http.post("/v1/workspaces", json={"name": "Team"}, headers=headers)
    async with app.worker.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT metadata FROM events WHERE type LIKE 'identity.workspace%%'"
        )
        (metadata,) = rows.scalars()
    assert metadata["actor_id"] == str(ana)
    assert metadata["ip"] == "203.0.113.7"
    assert metadata["user_agent"] == "tests/1.0"
    assert metadata["traceparent"].startswith("00-")
