"""Who may speak as a platform: signatures, handshakes, Instagram's signed requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from libs.contracts.accounts import PlatformName
from libs.platforms.base import BadSignature
from libs.platforms.instagram import Instagram
from libs.platforms.instagram.webhooks import signed_request
from libs.platforms.registry import REAL_ENDPOINTS, build
from libs.platforms.tests.support import NAMES, NOW, credentials, platforms, with_secrets
from libs.platforms.tests.vectors import SIGNED_REQUEST, VECTORS, Vector
from libs.platforms.tiktok import TikTok

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.platform)
LENGTHS = {"instagram": 272, "tiktok": 188, "linkedin": 111, "x": 152}


@each_vector
def test_the_published_vector_verifies(vector: Vector) -> None:
    assert len(vector.body) == LENGTHS[vector.platform]
    platforms()[vector.platform].verify(vector.headers, vector.body, vector.now)


@each_vector
def test_another_secret_is_refused(vector: Vector) -> None:
    with pytest.raises(BadSignature):
        with_secrets(vector.platform, "another").verify(vector.headers, vector.body, vector.now)


@each_vector
@pytest.mark.parametrize("secrets", [("",), ("", "")])
def test_an_empty_secret_never_verifies(vector: Vector, secrets: tuple[str, ...]) -> None:
    digest = hmac.new(b"", b"1767225601." + vector.body, hashlib.sha256).hexdigest()
    headers = {vector.header: f"t=1767225601,s={digest}"}
    for sent in (headers, vector.headers):
        with pytest.raises(BadSignature):
            with_secrets(vector.platform, *secrets).verify(sent, vector.body, vector.now)


@each_vector
def test_while_secrets_rotate_the_old_one_verifies_too(vector: Vector) -> None:
    both = with_secrets(vector.platform, "new", vector.secret)
    both.verify(vector.headers, vector.body, vector.now)


@each_vector
def test_a_retired_secret_is_refused(vector: Vector) -> None:
    with pytest.raises(BadSignature):
        with_secrets(vector.platform, "new").verify(vector.headers, vector.body, vector.now)


@each_vector
def test_one_changed_byte_anywhere_is_refused(vector: Vector) -> None:
    platform = platforms()[vector.platform]
    for place in range(len(vector.body)):
        body = bytearray(vector.body)
        body[place] ^= 1
        with pytest.raises(BadSignature):
            platform.verify(vector.headers, bytes(body), vector.now)


@each_vector
def test_a_truncated_body_or_signature_is_refused(vector: Vector) -> None:
    platform = platforms()[vector.platform]
    with pytest.raises(BadSignature):
        platform.verify(vector.headers, vector.body[:-1], vector.now)
    for kept in range(len(vector.signature)):
        with pytest.raises(BadSignature):
            platform.verify({vector.header: vector.signature[:kept]}, vector.body, vector.now)


@each_vector
def test_no_signature_is_refused(vector: Vector) -> None:
    with pytest.raises(BadSignature):
        platforms()[vector.platform].verify({}, vector.body, vector.now)


@each_vector
def test_json_written_anew_is_refused(vector: Vector) -> None:
    rewritten = orjson.dumps(orjson.loads(vector.body), option=orjson.OPT_INDENT_2)
    with pytest.raises(BadSignature):
        platforms()[vector.platform].verify(vector.headers, rewritten, vector.now)


@pytest.mark.parametrize("name", NAMES)
@given(header=st.text(max_size=200), body=st.binary(max_size=200))
def test_whatever_stands_in_the_header_only_bad_signature_is_raised(
    name: str, header: str, body: bytes
) -> None:
    vector = next(vector for vector in VECTORS if vector.platform == name)
    with pytest.raises(BadSignature):
        platforms()[vector.platform].verify({vector.header: header}, body, vector.now)


def test_linkedin_tolerates_its_prefix_in_front_of_the_digest() -> None:
    vector = VECTORS[2]
    platforms()["linkedin"].verify(
        {vector.header: "hmacsha256=" + vector.signature}, vector.body, vector.now
    )


def test_linkedin_refuses_a_digest_of_the_body_without_the_prefix() -> None:
    vector = VECTORS[2]
    digest = hmac.new(vector.secret.encode(), vector.body, hashlib.sha256).hexdigest()
    assert digest.startswith("d60b4548")
    with pytest.raises(BadSignature):
        platforms()["linkedin"].verify({vector.header: digest}, vector.body, vector.now)


def tiktok_headers(time: str, body: bytes = b"{}") -> dict[str, str]:
    message = time.encode() + b"." + body
    digest = hmac.new(b"tt-client-secret", message, hashlib.sha256).hexdigest()
    return {"tiktok-signature": f"t={time},s={digest}"}


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_tiktok_takes_a_time_within_five_minutes(off: int) -> None:
    headers = tiktok_headers(str(int(NOW.timestamp()) + off))
    platforms()["tiktok"].verify(headers, b"{}", NOW)


@pytest.mark.parametrize("off", [-301, 301])
def test_tiktok_refuses_a_time_further_off(off: int) -> None:
    with pytest.raises(BadSignature):
        platforms()["tiktok"].verify(tiktok_headers(str(int(NOW.timestamp()) + off)), b"{}", NOW)


@pytest.mark.parametrize(
    "time", ["NaN", "nan", "-1767225601", "", "inf", "1e9", "1767225601.0", " 1767225601", "9" * 40]
)
def test_tiktok_refuses_a_time_that_is_no_unix_time(time: str) -> None:
    with pytest.raises(BadSignature):
        platforms()["tiktok"].verify(tiktok_headers(time), b"{}", NOW)


def test_tiktok_refuses_a_header_that_says_a_thing_twice() -> None:
    header = tiktok_headers("1767225601")["tiktok-signature"]
    with pytest.raises(BadSignature):
        platforms()["tiktok"].verify({"tiktok-signature": f"t=1,{header}"}, b"{}", NOW)


def test_the_tolerance_of_tiktok_can_be_widened() -> None:
    wide = TikTok(credentials("tiktok"), REAL_ENDPOINTS["tiktok"], tolerance=timedelta(hours=72))
    late = NOW + timedelta(hours=71)
    wide.verify(tiktok_headers(str(int(NOW.timestamp()))), b"{}", late)


def test_the_registry_passes_the_tolerance_on() -> None:
    wide = build(
        {name: credentials(name) for name in NAMES}, tiktok_tolerance=timedelta(seconds=400)
    )
    wide["tiktok"].verify(tiktok_headers(str(int(NOW.timestamp()) - 399)), b"{}", NOW)


def test_instagram_echoes_the_challenge_for_the_right_token() -> None:
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": "ig-verify-token",
        "hub.challenge": "1158201444",
    }
    reply = platforms()["instagram"].handshake(query)
    assert reply is not None
    assert reply.body == b"1158201444"
    assert reply.media_type == "text/plain"


@pytest.mark.parametrize("token", ["", "wrong", "ig-verify-toke", "ig-verify-tokené"])
def test_instagram_refuses_a_handshake_with_another_token(token: str) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1"}
    with pytest.raises(BadSignature):
        platforms()["instagram"].handshake(query)


@pytest.mark.parametrize("agreed", [None, ""])
def test_without_an_agreed_token_no_handshake_of_instagram_passes(agreed: str | None) -> None:
    platform = Instagram(credentials("instagram", verify_token=agreed), REAL_ENDPOINTS["instagram"])
    query = {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}
    with pytest.raises(BadSignature):
        platform.handshake(query)


def test_linkedin_signs_the_challenge_code() -> None:
    code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
    reply = platforms()["linkedin"].handshake({"challengeCode": code, "applicationId": "1"})
    assert reply is not None
    assert reply.media_type == "application/json"
    assert orjson.loads(reply.body) == {
        "challengeCode": code,
        "challengeResponse": "313e20a5110164b82333ba6cb7cdad9e864a8e809bb93b22935d24b57f42823f",
    }


def test_x_signs_the_crc_token_with_the_consumer_secret() -> None:
    reply = platforms()["x"].handshake({"crc_token": "crc-token-123"})
    assert reply is not None
    assert orjson.loads(reply.body) == {
        "response_token": "sha256=YUsT0aLbF0VtFGcLCND1EU/aQP0sjPL19cPulVY7Wes="
    }


@pytest.mark.parametrize("name", ["linkedin", "x"])
def test_a_challenge_is_answered_with_the_newest_secret_that_is_not_empty(
    name: PlatformName,
) -> None:
    query = {"challengeCode": "1", "crc_token": "1"}
    assert with_secrets(name, "").handshake(query) is None
    newest = with_secrets(name, "", "new", "old").handshake(query)
    assert newest == with_secrets(name, "new").handshake(query)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "query", [{}, {"hub.mode": "subscribe"}, {"challengeCode": ""}, {"crc_token": ""}]
)
def test_a_query_without_a_challenge_is_no_handshake(
    name: PlatformName, query: dict[str, str]
) -> None:
    assert platforms()[name].handshake(query) is None


def instagram() -> Instagram:
    return Instagram(credentials("instagram"), REAL_ENDPOINTS["instagram"])


def test_the_signed_request_vector_verifies_and_decodes() -> None:
    assert signed_request(SIGNED_REQUEST, (SecretStr("ig-app-secret"),)) == {
        "algorithm": "HMAC-SHA256",
        "issued_at": 1767225600,
        "user_id": "900001",
    }


def test_a_deauthorisation_names_the_person() -> None:
    change = instagram().deauthorisation(SIGNED_REQUEST)
    assert (change.platform_user_id, change.type) == ("900001", "deauthorize")
    assert change == instagram().deauthorisation(SIGNED_REQUEST)


def test_a_data_deletion_has_a_code_that_stays_the_same_for_the_same_request() -> None:
    change = instagram().data_deletion(SIGNED_REQUEST)
    assert change.type == "data_deletion"
    assert change == instagram().data_deletion(SIGNED_REQUEST)
    assert len(change.payload["confirmation_code"]) == 32
    assert change.key != instagram().deauthorisation(SIGNED_REQUEST).key


@pytest.mark.parametrize(
    "value",
    ["", ".", "a.b", SIGNED_REQUEST[:-1], SIGNED_REQUEST[1:], SIGNED_REQUEST.split(".")[1]],
)
def test_a_signed_request_that_is_not_ours_is_refused(value: str) -> None:
    with pytest.raises(BadSignature):
        instagram().deauthorisation(value)
    with pytest.raises(BadSignature):
        instagram().data_deletion(value)


@given(value=st.text(max_size=100))
def test_whatever_a_signed_request_holds_only_bad_signature_is_raised(value: str) -> None:
    with pytest.raises(BadSignature):
        instagram().data_deletion(value)


def test_a_signed_request_by_another_algorithm_is_refused() -> None:
    payload = base64.urlsafe_b64encode(b'{"algorithm":"none","user_id":"1"}').rstrip(b"=")
    digest = hmac.new(b"ig-app-secret", payload, hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(digest).rstrip(b"=")
    with pytest.raises(BadSignature):
        instagram().deauthorisation(f"{signature.decode()}.{payload.decode()}")


def test_refusals_say_nothing_about_secrets() -> None:
    vector = VECTORS[0]
    with pytest.raises(BadSignature) as refused:
        platforms()["instagram"].verify(
            {vector.header: "sha256=0"}, b"", datetime(2026, 1, 1, tzinfo=UTC)
        )
    assert vector.secret not in str(refused.value)
