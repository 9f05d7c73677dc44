"""A real Envoy before real HTTP servers that answer with what reached them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.gateway.render import SERVICES, Gateway, render
from libs.testing.servers import EnvoyServer, free_port


@dataclass
class Signer:
    """Identity's key pair, as far as the gateway can tell."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def jwks(self) -> dict[str, Any]:
        """The published half."""
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "k1", "alg": "EdDSA", "use": "sig"}]}

    def token(self, **changes: Any) -> str:
        """A good access token, with `changes` to its claims (None leaves a claim out)."""
        now = int(time.time())
        claims = {
            "iss": "https://rookery.local",
            "aud": "rookery",
            "sub": "7f9c1f0e-8f43-4a52-8c5f-3c1f6d7b8a90",
            "iat": now,
            "exp": now + 600,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.key, algorithm="EdDSA", headers={"kid": "k1"})


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "echo"
    name = ""
    jwks: Callable[[], dict[str, Any]]
    release = threading.Event()

    def _answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if self.path.startswith("/webhooks/slow"):
            self.release.wait(20)
        if self.path == "/.well-known/jwks.json":
            answer: Any = self.jwks()
        else:
            answer = {
                "service": self.name,
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": len(body),
            }
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("x-powered-by", "echo")
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@contextmanager
def _upstream(name: str, signer: Signer) -> Iterator[str]:
    handler = type(name, (_Echo,), {"name": name, "jwks": staticmethod(signer.jwks)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            _Echo.release.set()
            server.shutdown()
            thread.join()


@dataclass
class Running:
    """A running gateway: `url`, and `signer` for callers' tokens."""

    url: str
    port: int
    signer: Signer

    def get(self, path: str, *, token: str | None = None, **more: Any) -> httpx.Response:
        """GET with a good token."""
        return self.call("GET", path, token=token, **more)

    def call(
        self, method: str, path: str, *, token: str | None = None, **more: Any
    ) -> httpx.Response:
        """Any request with a good token, unless another one (or "") is given."""
        token = self.signer.token() if token is None else token
        headers = dict(more.pop("headers", {}))
        if token:
            headers["authorization"] = f"Bearer {token}"
        return httpx.request(method, self.url + path, headers=headers, timeout=30, **more)


@contextmanager
def running(tmp: Path, *, down: str = "", **settings: Any) -> Iterator[Running]:
    """Start a gateway with `settings` before echoing services, of which `down` is not there."""
    signer = Signer()
    with ExitStack() as stack:
        services = {name: stack.enter_context(_upstream(name, signer)) for name in SERVICES}
        if down:
            services[down] = f"127.0.0.1:{free_port()}"
        gateway = replace(Gateway(services=services, port=free_port()), **settings)
        config = tmp / "envoy.yaml"
        config.write_text(render(gateway))
        url = f"http://127.0.0.1:{gateway.port}"
        here = Running(url, gateway.port, signer)

        def ready() -> bool:
            try:  # the keys have been fetched once a token is accepted
                return here.get("/v1/me").status_code == 200
            except httpx.TransportError:
                return False

        envoy = EnvoyServer(config, tmp / "envoy.log", ready)
        envoy.start()
        stack.callback(envoy.stop)
        yield here


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with limits too high for a test to meet."""
    with running(tmp_path_factory.mktemp("gateway"), api_rate=10_000, auth_rate=10_000) as it:
        yield it
