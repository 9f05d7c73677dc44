"""The demo workspace, made through the same doors that everybody uses; safe to repeat."""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

EMAIL = "demo@rookery.example"
OPERATOR_EMAIL = "operator@rookery.example"
WORKSPACE = "Demo"
PLATFORMS = ("instagram", "tiktok", "linkedin", "x")
# The simulator's own defaults: ids and secrets of no real platform.
CLIENTS = {
    "instagram": ("ig-app", "ig-app-secret"),
    "tiktok": ("ck_test", "tt-client-secret"),
    "linkedin": ("li-client", "li-client-secret"),
    "x": ("x-client", "x-client-secret"),
}
WEBHOOK_SECRETS = {
    "instagram": "ig-app-secret",
    "tiktok": "tt-client-secret",
    "linkedin": "li-client-secret",
    "x": "x-consumer-secret",
}
INSTAGRAM_VERIFY_TOKEN = "ig-verify-token"  # noqa: S105
Secret = Callable[..., str]
_SETTLE_SECONDS = 30.0
_FINAL = {400, 409, 413, 415, 422}  # no waiting makes these any better
_PEOPLE = "people"  # registered, which is done once
_CALLBACK = re.compile(r"/v1/oauth/[^/]+/callback$")


class DemoError(Exception):
    """The demo could not be made; the text says why."""


@dataclass(frozen=True)
class Visit:
    """Where the stack is. `check` raises when the seeding should be given up.

    `done` and `mark_done` remember over restarts what need not be repeated. `reach` turns an
    address that a browser is sent to into one that can be reached from here.
    """

    gateway: str
    simulator: str
    services: Mapping[str, str]
    secret: Secret
    check: Callable[[], None]
    done: Callable[[str], bool]
    mark_done: Callable[[str], None]
    say: Callable[[str], None]
    reach: Callable[[str], str] = lambda url: url


def seed(visit: Visit) -> dict[str, Any]:
    """Make what is missing of the demo; gives `demo` and `operator` for local.json.

    Raises DemoError when a service refuses.
    """
    with (
        httpx.Client(base_url=visit.gateway, timeout=30, trust_env=False) as http,
        httpx.Client(timeout=60, trust_env=False) as direct,
    ):
        if "ingestion" in visit.services:
            _shake_hands(visit, direct)
        if not {"identity", "accounts"} <= set(visit.services):
            return {}
        try:
            return _Seeding(visit, http, direct).run()
        except httpx.HTTPError as error:
            raise DemoError(f"The demo could not be made: {error!r}") from error


def _shake_hands(visit: Visit, http: httpx.Client) -> None:
    """Let the platforms check our webhooks now: one that failed while we were down sends nothing."""
    for platform in PLATFORMS:
        url = f"{visit.simulator}/_control/handshake"
        checked = _ok(http.post(url, json={"platform": platform})).json()
        if checked["passed"] is False:
            raise DemoError(f"Simulated {platform} does not accept our webhooks: {checked['why']}")


class _Seeding:
    def __init__(self, visit: Visit, http: httpx.Client, direct: httpx.Client) -> None:
        """`http` speaks to the gateway, `direct` to the simulator and to services themselves."""
        self._visit = visit
        self._http = http
        self._direct = direct
        # By platform and handle.
        self._pasts: dict[tuple[str, str], Future[list[Any]]] = {}

    def run(self) -> dict[str, Any]:
        password = self._visit.secret("demo", _password)
        operator = self._visit.secret("operator", _password)
        with ThreadPoolExecutor(2) as ahead:
            try:
                if not self._visit.done(_PEOPLE):
                    passwords = {EMAIL: password, OPERATOR_EMAIL: operator}
                    registered = ahead.map(self._register, passwords, passwords.values())
                    # Computed while services hear of each other.
                    self._ask_for_pasts(ahead)
                    list(registered)
                    self._visit.mark_done(_PEOPLE)
                if not self._sign_in(EMAIL, password):
                    raise DemoError(
                        f"{EMAIL} exists with another password than this installation's: "
                        "put that one back, or start anew with `make reset`."
                    )
                workspace = self._workspace()
                accounts = self._connect_all(workspace)
                if "ingestion" in self._visit.services:
                    self._load_history(accounts, ahead)
            finally:
                ahead.shutdown(cancel_futures=True)
        return {
            "demo": {"email": EMAIL, "password": password, "workspace_id": workspace},
            "operator": {"email": OPERATOR_EMAIL, "password": operator},
        }

    def _sign_in(self, email: str, password: str) -> bool:
        answer = self._post("/v1/auth/login", {"email": email, "password": password})
        if answer.status_code == 401:
            return False
        self._http.headers["authorization"] = f"Bearer {_ok(answer).json()['access_token']}"
        return True

    def _register(self, email: str, password: str) -> None:
        answer = self._post("/v1/auth/register", {"email": email, "password": password})
        if answer.status_code != 409:  # left by a first start that was cut off
            _ok(answer)

    def _workspace(self) -> str:
        # The gateway may still be fetching the keys that tokens are checked with.
        listed = self._settled(lambda: self._http.get("/v1/workspaces"))
        for workspace in listed.json()["items"]:
            if workspace["name"] == WORKSPACE:
                return str(workspace["id"])
        return str(_ok(self._post("/v1/workspaces", {"name": WORKSPACE})).json()["id"])

    def _connect_all(self, workspace: str) -> list[dict[str, Any]]:
        base = f"/v1/workspaces/{workspace}/accounts"
        # The other services learn of a new workspace by its event.
        listed = self._settled(lambda: self._http.get(base))
        accounts: list[dict[str, Any]] = listed.json()["items"]
        connected = {account["platform"] for account in accounts}
        missing = [platform for platform in PLATFORMS if platform not in connected]
        if not missing:
            return accounts
        self._visit.say(f"Connecting {', '.join(missing)} to the demo workspace")
        self._consent("allow")
        try:
            for platform in missing:
                self._visit.check()
                answer = _ok(self._post(f"{base}/{platform}/connect", {}))
                self._consent_and_return(answer.json()["authorize_url"])
        finally:
            self._consent("page")  # from now on a person is asked
        return list(_ok(self._http.get(base)).json()["items"])

    def _ask_for_pasts(self, ahead: ThreadPoolExecutor) -> None:
        """Ask for the past of those whom the consent page chooses: the first of each platform."""
        people = _ok(self._direct.get(f"{self._visit.simulator}/_control/people")).json()
        first = {person["platform"]: person["handle"] for person in reversed(people)}
        for platform in PLATFORMS:
            self._past(platform, first[platform], ahead)

    def _past(self, platform: str, handle: str, ahead: ThreadPoolExecutor) -> Future[list[Any]]:
        from deploy.local import history  # slow to import, and only needed once

        if (platform, handle) not in self._pasts:
            self._pasts[platform, handle] = ahead.submit(
                history.past_of, self._direct, self._visit.simulator, platform, handle
            )
        return self._pasts[platform, handle]

    def _load_history(self, accounts: list[dict[str, Any]], ahead: ThreadPoolExecutor) -> None:
        new = [
            account
            for account in accounts
            if account["platform"] in PLATFORMS and not self._visit.done(_history_of(account))
        ]
        if not new:
            return
        from deploy.local import history

        importer = history.Importer(
            self._visit.services["ingestion"], self._visit.secret("service"), self._direct
        )
        self._visit.say(f"Loading {history.DAYS} days of history")
        pasts = [self._past(account["platform"], account["handle"], ahead) for account in new]
        # The simulator computes the next account's past while ingestion takes in this one's.
        for account, past in zip(new, pasts, strict=True):
            # Ingestion learns of a new account by its event.
            importer.send(account["id"], past.result(), self._settled)
            self._visit.mark_done(_history_of(account))

    def _consent(self, mode: str) -> None:
        url = f"{self._visit.simulator}/_control/consent"
        _ok(self._direct.post(url, json={"mode": mode}))

    def _consent_and_return(self, url: str) -> None:
        """Follow the browser's way: the platform's page, then back to our callback."""
        for _ in range(5):
            answer = self._direct.get(self._visit.reach(url))
            if _CALLBACK.search(httpx.URL(url).path):
                if answer.status_code >= 400:
                    _ok(answer)
                return
            if not answer.is_redirect:
                raise DemoError(f"The demo's consent ended at {url} with {answer.status_code}")
            url = str(httpx.URL(url).join(answer.headers["location"]))
        raise DemoError("The demo's consent went in circles")

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return self._http.post(path, json=body)

    def _settled(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            self._visit.check()
            answer = ask()
            settled = answer.is_success or answer.status_code in _FINAL
            if settled or time.monotonic() > deadline:
                return _ok(answer)
            time.sleep(0.1)


def _history_of(account: Mapping[str, Any]) -> str:
    return f"history.{account['id']}"


def _password() -> str:
    return secrets.token_urlsafe(12)  # somebody will type it


def _ok(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        request = answer.request
        raise DemoError(
            f"The demo could not be made: {request.method} {request.url} gave "
            f"{answer.status_code}\n    {answer.text[:500]}"
        )
    return answer
