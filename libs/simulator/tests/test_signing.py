"""The pinned vectors of the platform notes."""

from libs.simulator import signing

_INSTAGRAM = (
    rb'{"object":"instagram","entry":[{"id":"17841400000000001","time":1767225600,"changes":'
    rb'[{"field":"comments","value":{"id":"17900000000000001","from":{"id":"900001","username":'
    rb'"ana"},"media":{"id":"17800000000000001","media_product_type":"FEED"},"text":'
    rb'"Ol\u00e1 \/ hi"}}]}]}'
)
_TIKTOK = (
    rb'{"client_key":"ck_test","event":"post.publish.complete","create_time":1767225600,'
    rb'"user_openid":"open-1","content":"{\"publish_id\":\"v_pub_url~v2.1\",\"publish_type\":'
    rb'\"DIRECT_PUBLISH\"}"}'
)
_LINKEDIN = (
    rb'{"type":"ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS","notifications":'
    rb'[{"notificationId":101,"action":"COMMENT"}]}'
)
_X = (
    rb'{"data":{"event_uuid":"-42","filter":{"user_id":"2244994945"},"event_type":'
    rb'"post.mention.create","payload":{"id":"1","text":"hi @you","author_id":"7"}}}'
)


def test_instagram_signs_the_body_with_the_app_secret() -> None:
    assert len(_INSTAGRAM) == 272
    assert signing.instagram("ig-app-secret", _INSTAGRAM) == (
        "sha256=8c18600e52982b7751e8f3ad4523fd51d6919da49e6a95d55016d3e43e7886b7"
    )


def test_instagram_signs_the_encoded_payload_of_a_signed_request() -> None:
    payload = {"algorithm": "HMAC-SHA256", "issued_at": 1767225600, "user_id": "900001"}
    assert signing.signed_request("ig-app-secret", payload) == (
        "Jj2X4GbaC6g_ZzuYoyCi7Hr4g6tsacSOhnU_XO2EYt4."
        "eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImlzc3VlZF9hdCI6MTc2NzIyNTYwMCwidXNlcl9pZCI6Ijkw"
        "MDAwMSJ9"
    )


def test_tiktok_signs_the_timestamp_and_the_body() -> None:
    assert len(_TIKTOK) == 188
    assert signing.tiktok("tt-client-secret", _TIKTOK, 1767225601) == (
        "t=1767225601,s=9b46c473af9af4a7c894b90dcbaa5eece6c189559ddd1693e1e301fa2ece6c5c"
    )


def test_linkedin_signs_the_prefix_but_sends_the_bare_digest() -> None:
    assert len(_LINKEDIN) == 111
    assert signing.linkedin("li-client-secret", _LINKEDIN) == (
        "58636ab4b1c126421773d332ab47de8eabfbaeb0b179ad0ec2d7475a17e66199"
    )


def test_linkedin_expects_the_hex_digest_of_its_challenge() -> None:
    code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
    assert signing.linkedin_challenge("li-client-secret", code) == (
        "313e20a5110164b82333ba6cb7cdad9e864a8e809bb93b22935d24b57f42823f"
    )


def test_x_signs_the_body_with_the_consumer_secret() -> None:
    assert len(_X) == 152
    assert signing.x("x-consumer-secret", _X) == (
        "sha256=Fh7qv3Sn3DuV+qzxkgul+wly/Gdc1a53g1v15PMoZ4Y="
    )


def test_x_expects_the_signature_of_its_crc_token() -> None:
    assert signing.x("x-consumer-secret", b"crc-token-123") == (
        "sha256=YUsT0aLbF0VtFGcLCND1EU/aQP0sjPL19cPulVY7Wes="
    )
