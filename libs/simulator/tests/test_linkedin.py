"""LinkedIn's read endpoints: what they answer and what they refuse."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from libs.simulator.tests.support import LI_HEADERS, LI_MEMBER_SCOPES, Stand, bearing

REST = "/linkedin-api/rest"
DAY = 86_400_000


class Page:
    """A connected organisation and a way to ask about it."""

    def __init__(self, stand: Stand, person: dict[str, Any], token: str) -> None:
        self.stand = stand
        self.person = person
        self.token = token
        self.urn = quote(f"urn:li:organization:{person['account_id']}", safe="")

    async def get(self, resource: str, **headers: str) -> httpx.Response:
        """`resource` is the path and raw query; an empty header value removes the header."""
        wanted = {**LI_HEADERS, **{k.replace("_", "-"): v for k, v in headers.items()}}
        wanted = {k: v for k, v in wanted.items() if v}
        return await self.stand.http.get(
            f"{REST}/{resource}", headers={**wanted, **bearing(self.token)}
        )


@pytest.fixture
async def page(stand: Stand) -> Page:
    person = await stand.person("linkedin")
    return Page(stand, person, (await stand.connect("linkedin"))["access_token"])


def statistics(page: Page, rest: str = "") -> str:
    return (
        "organizationalEntityShareStatistics?q=organizationalEntity"
        f"&organizationalEntity={page.urn}{rest}"
    )


def interval(page: Page, days: int) -> str:
    end = int(page.stand.clock.now().replace(hour=0).timestamp() * 1000)
    return (
        f"&timeIntervals=(timeRange:(start:{end - days * DAY},end:{end}),timeGranularityType:DAY)"
    )


async def test_the_organisation_is_found_through_the_members_role(page: Page) -> None:
    roles = (
        await page.get("organizationAcls?q=roleAssignee&role=ADMINISTRATOR&state=APPROVED")
    ).json()
    urn = roles["elements"][0]["organization"]
    assert urn == f"urn:li:organization:{page.person['account_id']}"
    about = await page.get(f"organizations/{page.person['account_id']}")
    assert about.json()["vanityName"] == "rookery-demo"
    size = await page.get(f"networkSizes/{page.urn}?edgeType=COMPANY_FOLLOWED_BY_MEMBER")
    assert size.json()["firstDegreeSize"] > 1000


async def test_share_statistics_are_per_day_for_life_and_per_post(page: Page) -> None:
    daily = (await page.get(statistics(page, interval(page, 3)))).json()["elements"]
    assert len(daily) == 3
    lifetime = (await page.get(statistics(page))).json()["elements"]
    total = lifetime[0]["totalShareStatistics"]
    assert total["impressionCount"] > daily[0]["totalShareStatistics"]["impressionCount"]
    posts = (await page.get(f"posts?q=author&author={page.urn}&count=2")).json()
    assert posts["paging"]["total"] > 10
    urns = [post["id"] for post in posts["elements"]]
    listed = ",".join(quote(urn, safe="") for urn in urns)
    each = (await page.get(statistics(page, f"&shares=List({listed})"))).json()["elements"]
    assert sorted(one["share"] for one in each) == sorted(urns)


async def test_followers_are_counted_by_place_but_not_by_age_or_gender(page: Page) -> None:
    base = (
        "organizationalEntityFollowerStatistics?q=organizationalEntity"
        f"&organizationalEntity={page.urn}"
    )
    facets = (await page.get(base)).json()["elements"][0]
    assert facets["followerCountsByGeoCountry"][0]["geo"].startswith("urn:li:geo:")
    assert not [name for name in facets if "Age" in name or "Gender" in name]
    gains = (await page.get(base + interval(page, 2))).json()["elements"]
    assert [set(gain) for gain in gains] == [
        {"timeRange", "followerGains", "organizationalEntity"}
    ] * 2


async def test_page_views_are_told(page: Page) -> None:
    answer = await page.get(
        f"organizationPageStatistics?q=organization&organization={page.urn}{interval(page, 1)}"
    )
    views = answer.json()["elements"][0]["totalPageStatistics"]["views"]
    assert views["allPageViews"]["pageViews"] > 0


@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({"LinkedIn_Version": ""}, 400, "VERSION_MISSING"),
        ({"LinkedIn_Version": "2026"}, 400, "INVALID_VERSION"),
        ({"LinkedIn_Version": "202613"}, 400, "INVALID_VERSION"),
        ({"LinkedIn_Version": "202401"}, 426, "NONEXISTENT_VERSION"),
        ({"LinkedIn_Version": "202701"}, 426, "NONEXISTENT_VERSION"),
        ({"X_Restli_Protocol_Version": ""}, 400, "ILLEGAL_ARGUMENT"),
        ({"X_Restli_Protocol_Version": "1.0.0"}, 400, "ILLEGAL_ARGUMENT"),
    ],
)
async def test_the_version_headers_are_mandatory(
    page: Page, headers: dict[str, str], status: int, expected: str
) -> None:
    refused = await page.get("organizationAcls?q=roleAssignee", **headers)
    assert (refused.status_code, refused.json()["code"]) == (status, expected)


@pytest.mark.parametrize(
    "resource",
    [
        "organizationAcls",
        "organizationAcls?q=everything",
        "organizationAcls?q=roleAssignee&surprise=1",
        "networkSizes/urn:li:organization:1?edgeType=COMPANY_FOLLOWED_BY_MEMBER",
        "networkSizes/{urn}",
        "{statistics}&shares=urn%3Ali%3Ashare%3A1",
        "{statistics}&shares=List(urn:li:share:1)",
        "{statistics}&shares=List%28urn%3Ali%3Ashare%3A1%29",
        "{statistics}&timeIntervals=(timeRange:(start:1,end:0),timeGranularityType:DAY)",
        "{statistics}&timeIntervals=lately",
        "posts?q=author",
        "posts?q=author&author={urn}&count=101",
    ],
)
async def test_requests_that_are_not_right_are_illegal_arguments(page: Page, resource: str) -> None:
    filled = resource.replace("{urn}", page.urn).replace("{statistics}", statistics(page))
    refused = await page.get(filled)
    assert refused.status_code == 400, refused.text
    assert refused.json()["code"] == "ILLEGAL_ARGUMENT"


async def test_another_organisation_is_none_of_the_callers_business(page: Page) -> None:
    page.urn = quote("urn:li:organization:1", safe="")
    assert (await page.get(statistics(page))).status_code == 403
    assert (await page.get(f"posts?q=author&author={page.urn}")).status_code == 403
    assert (await page.get("organizations/1")).status_code == 403


async def test_nobody_lists_a_members_posts(page: Page) -> None:
    urn = quote(f"urn:li:person:{page.person['member_id']}", safe="")
    assert (await page.get(f"posts?q=author&author={urn}")).status_code == 403


async def test_without_the_scope_or_the_role_there_is_a_403(stand: Stand) -> None:
    person = await stand.person("linkedin")
    few = await stand.connect("linkedin", scope="openid profile")
    assert (await Page(stand, person, few["access_token"]).get(
        "organizationAcls?q=roleAssignee"
    )).status_code == 403  # fmt: skip
    person = await stand.person("linkedin", "analyst", role="ANALYST")
    token = (await stand.connect("linkedin", "analyst"))["access_token"]
    page = Page(stand, person, token)
    assert (await page.get(statistics(page))).status_code == 403


async def test_a_member_without_a_page_has_numbers_of_their_own(stand: Stand) -> None:
    person = await stand.person("linkedin", "just.me", organisation=False, followers=700)
    token = (await stand.connect("linkedin", "just.me", scope=LI_MEMBER_SCOPES))["access_token"]
    me = Page(stand, person, token)
    claims = (await stand.http.get("/linkedin-api/v2/userinfo", headers=bearing(token))).json()
    assert claims["sub"] == person["member_id"]
    assert claims["email_verified"] is True
    followers = await me.get("memberFollowersCount?q=me")
    assert followers.json()["elements"] == [{"memberFollowersCount": 700}]
    analytics = "memberCreatorPostAnalytics?q=me&queryType=IMPRESSION"
    total = (await me.get(analytics)).json()["elements"]
    assert total[0]["count"] > 0
    dates = "(start:(day:27,month:2,year:2026),end:(day:2,month:3,year:2026))"
    daily = (await me.get(f"{analytics}&aggregation=DAILY&dateRange={dates}")).json()["elements"]
    assert len(daily) == 3
    for wrong in ("&aggregation=DAILY", "&aggregation=HOURLY", "&dateRange=today"):
        assert (await me.get(analytics + wrong)).status_code == 400


async def test_tokens_die_of_age_and_unknown_ones_are_invalid(page: Page) -> None:
    page.stand.clock.advance(days=60)
    headers = {"LinkedIn_Version": "202604"}
    old = await page.get("organizationAcls?q=roleAssignee", **headers)
    assert old.json()["serviceErrorCode"] == 65602
    page.token = "stolen"
    unknown = await page.get("organizationAcls?q=roleAssignee", **headers)
    assert unknown.json()["serviceErrorCode"] == 65600


@pytest.mark.parametrize("kind", ["member", "app"])
async def test_the_daily_quota_ends_at_midnight_utc(page: Page, kind: str) -> None:
    await page.stand.control("limits", rule=f"linkedin.{kind}.organizationAcls", limit=1)
    acls = "organizationAcls?q=roleAssignee"
    assert (await page.get(acls)).status_code == 200
    refused = await page.get(acls)
    assert refused.status_code == 429
    assert set(refused.json()) == {"message", "status"}
    assert not [name for name in refused.headers if "rate" in name or "retry" in name]
    page.stand.clock.advance(hours=12)
    assert (await page.get(acls)).status_code == 200
