"""What a log line never holds."""

from __future__ import annotations

from libs.chassis.logging import REDACTED, redact


def test_secrets_are_blanked_by_their_names_at_any_depth() -> None:
    event = redact(
        None,
        "info",
        {
            "event": "login",
            "password": "hunter2",
            "access_token": "abc",
            "nested": {"Authorization": "Bearer abc", "list": [{"client_secret": "s"}]},
            "token_version": 3,
            "mfa_required": True,
            "handle": "@ana",
        },
    )
    assert event == {
        "event": "login",
        "password": REDACTED,
        "access_token": REDACTED,
        "nested": {"Authorization": REDACTED, "list": [{"client_secret": REDACTED}]},
        "token_version": 3,
        "mfa_required": True,
        "handle": "@ana",
    }
