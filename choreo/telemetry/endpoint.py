"""Probes and status over HTTP, from a thread of its own: /healthz, /readyz, /status. Read only."""

import json
import os
import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from choreo.errors import ConfigError
from choreo.telemetry.health import Verdict

LOOPBACK = "127.0.0.1"
SLOW_CLIENT_S = 5.0
"""A client that sends nothing for this long is let go."""


class Watched(Protocol):
    """What is asked by the endpoint, by several threads at once."""

    def live(self) -> Verdict: ...
    def ready(self) -> Verdict: ...
    def status(self) -> Mapping[str, object]: ...


class Address(NamedTuple):
    """Where to listen; port 0 takes any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """`8080` is 127.0.0.1:8080: nobody else is served unless that is said. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{text!r} is no address to listen on", hint="8080 for this machine only, or 0.0.0.0:8080")
    return Address(host.strip("[]") or LOOPBACK, int(port))


class Endpoint:
    """Serves while it is entered. Nobody is asked who they are: what is shown holds no events, and no secrets."""

    def __init__(self, address: Address, watched: Watched) -> None:
        self._server = _listening(address, watched)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", args=(0.1,), daemon=True)

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return Address(str(host), int(port))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # on Windows it would let two programs listen on one port
    watched: Watched


class _ServerV6(_Server):
    address_family = socket.AF_INET6


def _listening(address: Address, watched: Watched) -> _Server:
    """Raises ConfigError where somebody else listens there, or there is no such place."""
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        kind = _ServerV6 if family == socket.AF_INET6 else _Server
        server = kind((address.host, address.port), _Answering)
    except OSError as error:
        raise ConfigError(
            f"health can't be served on {address}",
            why=error.strerror or str(error),
            hint="another port: --health PORT, or [health] listen",
        ) from error
    server.watched = watched
    return server


class _Answering(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    server_version = "choreo"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = SLOW_CLIENT_S

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        watched, path = self.server.watched, urlsplit(self.path).path.rstrip("/")
        if path == "/healthz":
            code, said = _probed(watched.live())
        elif path == "/readyz":
            code, said = _probed(watched.ready())
        elif path == "/status":
            code, said = HTTPStatus.OK, dict(watched.status())
        else:
            code, said = HTTPStatus.NOT_FOUND, {"problems": [f"there is no {path or '/'}"], "try": PATHS}
        body = json.dumps(said, default=str).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A probe every few seconds is no news."""


PATHS = ["/healthz", "/readyz", "/status"]


def _probed(verdict: Verdict) -> tuple[HTTPStatus, dict[str, object]]:
    code = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return code, {"ok": verdict.ok, "problems": list(verdict.problems)}
