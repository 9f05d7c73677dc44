"""Signatures computed by others: body, headers and time of one signed webhook per platform."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from libs.contracts.accounts import PlatformName


@dataclass(frozen=True)
class Vector:
    platform: PlatformName
    secret: str
    header: str
    signature: str
    body: bytes
    now: datetime = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)

    @property
    def headers(self) -> dict[str, str]:
        return {self.header: self.signature}


VECTORS = (
    Vector(
        "instagram",
        "ig-app-secret",
        "x-hub-signature-256",
        "sha256=8c18600e52982b7751e8f3ad4523fd51d6919da49e6a95d55016d3e43e7886b7",
        rb'{"object":"instagram","entry":[{"id":"17841400000000001","time":1767225600,"changes":'
        rb'[{"field":"comments","value":{"id":"17900000000000001","from":{"id":"900001",'
        rb'"username":"ana"},"media":{"id":"17800000000000001","media_product_type":"FEED"},'
        rb'"text":"Ol\u00e1 \/ hi"}}]}]}',
    ),
    Vector(
        "tiktok",
        "tt-client-secret",
        "tiktok-signature",
        "t=1767225601,s=9b46c473af9af4a7c894b90dcbaa5eece6c189559ddd1693e1e301fa2ece6c5c",
        rb'{"client_key":"ck_test","event":"post.publish.complete","create_time":1767225600,'
        rb'"user_openid":"open-1","content":"{\"publish_id\":\"v_pub_url~v2.1\",'
        rb'\"publish_type\":\"DIRECT_PUBLISH\"}"}',
    ),
    Vector(
        "linkedin",
        "li-client-secret",
        "x-li-signature",
        "58636ab4b1c126421773d332ab47de8eabfbaeb0b179ad0ec2d7475a17e66199",
        b'{"type":"ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS","notifications":'
        b'[{"notificationId":101,"action":"COMMENT"}]}',
    ),
    Vector(
        "x",
        "x-consumer-secret",
        "x-twitter-webhooks-signature",
        "sha256=Fh7qv3Sn3DuV+qzxkgul+wly/Gdc1a53g1v15PMoZ4Y=",
        b'{"data":{"event_uuid":"-42","filter":{"user_id":"2244994945"},'
        b'"event_type":"post.mention.create","payload":{"id":"1","text":"hi @you",'
        b'"author_id":"7"}}}',
    ),
)

SIGNED_REQUEST = (
    "Jj2X4GbaC6g_ZzuYoyCi7Hr4g6tsacSOhnU_XO2EYt4."
    "eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImlzc3VlZF9hdCI6MTc2NzIyNTYwMCwidXNlcl9pZCI6IjkwMDAwMSJ9"
)
