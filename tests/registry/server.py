"""A server that answers what a test tells it to, and remembers what it was asked; with certificates of its own."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """One answer; `raw` in place of a JSON body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    raw: bytes | None = None


class Asked(NamedTuple):
    """One request, as it came."""

    line: str
    authorization: str | None
    body: Any


class Server:
    """Gives `replies` one after the other, the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.asked = list(replies), list[Asked]()
        self.port = 0


@contextmanager
def serving(*replies: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server on a free port of loopback."""
    server = Server(*replies)

    class Answering(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            server.asked.append(Asked(f"{self.command} {self.path}", self.headers.get("Authorization"), body))
            reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
            if not reply.status:
                return  # hangs up without a word
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(reply.body).encode() if reply.raw is None else reply.raw)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that breaks off is what is tested
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        server.port = http.server_address[1]
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def make_certificates(directory: Path) -> None:
    """ca.pem, server.pem and client.pem signed by it, their keys; client.locked.key has the password `sesame`."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca", *authority)
    for name in ("server", "client"):
        (directory / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext", "-days", "2")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    openssl("ec", "-in", "client.key", "-aes256", "-passout", "pass:sesame", "-out", "client.locked.key")
