import asyncio
import base64
import time
from datetime import timedelta

import httpx
import jwt
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from libs.chassis.tokens import ServiceTokens
from libs.testing.identity import SERVICE_SECRET
from services.identity.keys import BadSigningKey, Signer
from services.identity.passwords import Hasher
from services.identity.settings import IdentitySettings

from .conftest import OPERATOR, PASSWORD, App, seed


async def test_a_registered_person_signs_in_and_is_who_they_are(app: App) -> None:
    user_id, who = await app.person("Ana@Example.org")
    me = (await app.http.get("/v1/me", headers=who)).json()
    assert me["id"] == str(user_id)
    assert me["email"] == "ana@example.org"
    assert me["mfa_enabled"] is False
    assert me["last_login"] is not None
    assert me["operator"] is False


async def test_an_address_is_registered_once_however_it_is_written(app: App) -> None:
    await app.register("ana@example.org")
    answer = await app.http.post(
        "/v1/auth/register", json={"email": " ANA@example.org", "password": PASSWORD}
    )
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:rookery:problem:email-taken"


async def test_of_two_registrations_at_once_one_wins(app: App) -> None:
    body = {"email": "ana@example.org", "password": PASSWORD}
    answers = await asyncio.gather(
        *(app.http.post("/v1/auth/register", json=body) for _ in range(4))
    )
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]


async def test_a_wrong_password_and_an_unknown_address_look_the_same(app: App) -> None:
    await app.register("ana@example.org")
    wrong = await app.login("ana@example.org", "not her password")
    unknown = await app.login("nobody@example.org", "not her password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


async def test_an_unknown_address_costs_a_hash_too() -> None:
    hasher = Hasher(SecretStr("pepper" * 8), cost=10)
    async with hasher.slot():
        known = await hasher.hash(SecretStr(PASSWORD))
        spent = []
        for against in (known, None, "!"):
            start = time.perf_counter()
            assert not await hasher.matches(SecretStr("another"), against)
            spent.append(time.perf_counter() - start)
    hasher.close()
    assert min(spent) > max(spent) / 4


async def test_long_passwords_are_kept_whole_and_spellings_are_one() -> None:
    hasher = Hasher(SecretStr("pepper" * 8), cost=4)
    long = "x" * 127
    async with hasher.slot():
        stored = await hasher.hash(SecretStr(long + "a"))
        assert await hasher.matches(SecretStr(long + "a"), stored)
        assert not await hasher.matches(SecretStr(long + "b"), stored)
        composed = await hasher.hash(SecretStr("pässword"))
        assert await hasher.matches(SecretStr("pa\u0308ssword"), composed)
    hasher.close()


async def test_a_hash_is_worth_nothing_without_its_pepper() -> None:
    ours, theirs = Hasher(SecretStr("p" * 32), cost=4), Hasher(SecretStr("q" * 32), cost=4)
    async with ours.slot(), theirs.slot():
        stored = await ours.hash(SecretStr(PASSWORD))
        assert not await theirs.matches(SecretStr(PASSWORD), stored)
    ours.close()
    theirs.close()


def test_bcrypt_costs_twelve_unless_told_otherwise() -> None:
    assert IdentitySettings.model_fields["bcrypt_cost"].default == 12


async def test_access_tokens_say_what_verifiers_require(app: App) -> None:
    user_id = await app.register("ana@example.org")
    tokens = await app.tokens("ana@example.org")
    keys = (await app.http.get("/.well-known/jwks.json")).json()["keys"]
    assert [key["alg"] for key in keys] == ["EdDSA", "EdDSA"]
    assert all("d" not in key for key in keys)
    token = tokens["access_token"]
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "kid": keys[0]["kid"],
        "typ": "JWT",
    }
    claims = jwt.decode(
        token,
        jwt.PyJWK(keys[0]).key,
        algorithms=["EdDSA"],
        audience="rookery",
        issuer="https://rookery.test",
    )
    assert claims["sub"] == str(user_id)
    assert claims["typ"] == "access"
    assert claims["scope"] == ""
    assert claims["exp"] - claims["iat"] == 600 == int(tokens["expires_in"])


async def test_operators_are_those_of_the_settings(app: App) -> None:
    _, operator = await app.person(OPERATOR)
    assert (await app.http.get("/v1/me", headers=operator)).json()["operator"] is True


def test_a_key_is_a_seed_or_a_pem_and_a_wrong_one_is_not_repeated() -> None:
    with pytest.raises(BadSigningKey) as caught:
        Signer([SecretStr("tooshortkey")], issuer="i", audience="a", life=timedelta(minutes=10))
    assert "tooshortkey" not in str(caught.value)
    urlsafe = base64.urlsafe_b64encode(b"\xff" * 32).decode().rstrip("=")
    standard = base64.b64encode(b"\xff" * 32).decode()
    one, two = (
        Signer([SecretStr(key)], issuer="i", audience="a", life=timedelta(minutes=10)).jwks
        for key in (urlsafe, standard)
    )
    assert one == two


def test_keys_come_from_the_environment_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "IDENTITY_DATABASE_URL": "postgresql://a@b/c",
        "IDENTITY_WORKER_DATABASE_URL": "postgresql://a@b/c",
        "ROOKERY_SERVICE_SECRET": "s" * 32,
        "IDENTITY_SIGNING_KEYS": f"{seed(3)}, {seed(4)}",
        "IDENTITY_PEPPER": "p" * 32,
        "IDENTITY_OPERATOR_EMAILS": "Boss@Example.org,other@example.org",
    }.items():
        monkeypatch.setenv(name, value)
    settings = IdentitySettings()
    assert [key.get_secret_value() for key in settings.signing_keys] == [seed(3), seed(4)]
    assert settings.operator_emails == ("boss@example.org", "other@example.org")
    assert seed(3) not in repr(settings)


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ana@example.org", "password": "canary1"},
        {"email": "ana@example.org", "password": "x" * 129},
        {"email": "no address", "password": PASSWORD},
        {"email": "a@b", "password": PASSWORD},
        {"email": "a" * 250 + "@example.org", "password": PASSWORD},
        {"email": "ana@example.org"},
        {"email": "ana@example.org", "password": ["canary-7431-value"]},
    ],
)
async def test_bad_input_is_refused_without_an_echo(app: App, body: dict[str, object]) -> None:
    answer = await app.http.post("/v1/auth/register", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    for value in body.values():
        assert str(value) not in answer.text
    assert "canary" not in answer.text


async def test_a_lone_surrogate_in_a_password_is_refused(app: App) -> None:
    answer = await app.http.post(
        "/v1/auth/login",
        content=b'{"email": "ana@example.org", "password": "\\ud800canary"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert "canary" not in answer.text


async def test_no_secret_reaches_an_event_a_log_line_or_an_error(
    app: App, capfd: pytest.CaptureFixture[str]
) -> None:
    canary = "canary-password-9931"
    await app.register("ana@example.org", canary)
    answer = await app.login("ana@example.org", canary)
    refresh = answer.json()["refresh_token"]
    refused = await app.login("ana@example.org", canary + "x")
    again = await app.http.post(
        "/v1/auth/register", json={"email": "ana@example.org", "password": canary}
    )
    async with app.worker.connect() as connection:
        stored = (await connection.execute(text("SELECT events::text FROM events"))).scalars()
        sessions = (
            await connection.execute(text("SELECT t::text FROM refresh_tokens t"))
        ).scalars()
        haystack = " ".join([*stored, *sessions, refused.text, again.text])
    printed = capfd.readouterr()
    haystack += printed.out + printed.err
    for secret in (canary, refresh, answer.json()["access_token"], "$2b$"):
        assert secret not in haystack
    raw = base64.urlsafe_b64decode(refresh)[16:]
    assert raw.hex() not in haystack


async def test_logging_in_at_once_ten_times_works(app: App) -> None:
    await app.register("ana@example.org")
    answers: list[httpx.Response] = []
    for _ in range(3):
        answers += await asyncio.gather(
            *(app.login("ana@example.org", address="10.9.9.9") for _ in range(4))
        )
    assert {a.status_code for a in answers} == {200}
    assert [kind for kind, _ in await app.events()].count("identity.user_logged_in.v1") == 12


async def test_another_services_token_is_no_access_token(app: App) -> None:
    tokens = ServiceTokens(SecretStr(SERVICE_SECRET), app.clock)
    foreign = tokens.issue(caller="ingestion", callee="identity")
    for header in ("", "Bearer nonsense", "Basic eDp5", f"Bearer {foreign}"):
        answer = await app.http.get("/v1/me", headers={"authorization": header})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
