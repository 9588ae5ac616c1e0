"""How a second process appends to an embedded log: a local socket of the process that owns the directory.

One JSON object a line each way, bytes as base64; the owner's address stands in `serve.json`.
`{"v": 1, "token": ..., "do": "append", "records": [[topic, key, value, [[name, value]], partition]]}` is answered by
`{"positions": [[topic, partition, offset]]}`, `{"do": "create_topics", "topics": [[name, partitions, config]]}` by `{}`
and a failure by `{"error": {...}}`. `{"do": "writer", "id": ...}` is answered by `{"number": n}`. Under that number
`{"do": "commit", "id": ..., "number": n, "records": [[...], ...]}` commits records of several appends in one
transaction: `{"offsets": [...]}` has the last offset of each append. `{"do": "check", "id": ..., "number": n}` fails
where that writer is fenced.
"""

import json
import os
import secrets
import socket
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol

from choreo import errors
from choreo.log.interface import TopicSpec, Writer
from choreo.record import NewRecord, Position

ADDRESS = "serve.json"
_VERSION = 1
_MAX_PATH = 100
_TIMEOUT_S = 60.0
_START_S = 2.0


class Appendable(Protocol):
    """What is served."""

    def append(self, records: Sequence[NewRecord]) -> list[Position]: ...

    def create_topics(self, specs: Iterable[TopicSpec]) -> None: ...

    def writer(self, transactional_id: str) -> Writer: ...


class AppendServer:
    """Serves appends and transactions of records for other processes of this user, on a thread of its own, until it is
    closed.
    """

    def __init__(self, log: Appendable, directory: Path) -> None:
        self._log = log
        self._directory = directory
        self._token = secrets.token_hex(16)
        self._closing = threading.Event()
        self._folder: Path | None = None
        self._connections: set[socket.socket] = set()
        self._writers: dict[str, tuple[int, Writer]] = {}
        """The last writer of another process by its transactional id, and the number under which it is known."""
        self._numbers = count(1)
        self._socket = self._listen()
        self._thread = threading.Thread(target=self._accept, name="choreo-log-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._closing.set()
        with suppress(OSError), _connected(self._address):
            pass  # wakes the thread out of its accept
        self._thread.join(5)
        self._socket.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        (self._directory / ADDRESS).unlink(missing_ok=True)
        if self._folder is not None:
            (self._folder / "log.sock").unlink(missing_ok=True)
            self._folder.rmdir()
        else:
            (self._directory / "log.sock").unlink(missing_ok=True)

    def _listen(self) -> socket.socket:
        if hasattr(socket, "AF_UNIX"):
            path = self._directory.absolute() / "log.sock"
            if len(os.fsencode(path)) > _MAX_PATH:
                self._folder = Path(tempfile.mkdtemp(prefix="choreo-"))
                path = self._folder / "log.sock"
            path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(path))
            path.chmod(0o600)
            self._address: dict[str, Any] = {"unix": str(path)}
        else:  # no socket files on this system: loopback, kept to this user by the token
            listening = socket.create_server(("127.0.0.1", 0))
            self._address = {"port": listening.getsockname()[1]}
        listening.listen(16)
        self._address |= {"v": _VERSION, "token": self._token}
        fresh = self._directory / f"{ADDRESS}.new"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(self._address), encoding="utf-8")
        fresh.replace(self._directory / ADDRESS)
        return listening

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                self._closing.wait(0.1)  # out of file handles: others may give some back
                continue
            threading.Thread(target=self._serve, args=(connection,), name="choreo-log-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._connections.add(connection)
        try:
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    stream.write(json.dumps(self._answer(line)).encode() + b"\n")
                    stream.flush()
        except OSError:
            pass  # the client is gone
        finally:
            self._connections.discard(connection)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            if asked.get("v") != _VERSION or not secrets.compare_digest(str(asked.get("token")), self._token):
                raise errors.LogError("the owner of the log does not understand", hint="use the same Choreo for both")
            if asked["do"] == "create_topics":
                self._log.create_topics([TopicSpec(*topic) for topic in asked["topics"]])
                return {}
            if asked["do"] == "writer":
                number = next(self._numbers)
                self._writers[asked["id"]] = number, self._log.writer(asked["id"])
                return {"number": number}
            if asked["do"] in ("check", "commit"):
                return self._committed(asked["id"], asked["number"], asked.get("records", []))
            return {"positions": self._log.append([_record(fields) for fields in asked["records"]])}
        except errors.ChoreoError as error:
            where = None if error.at is None else str(error.at)
            fields = {"message": error.message, "at": where, "why": error.why, "hint": error.hint}
            return {"error": {"type": type(error).__name__, **fields}}
        except (ValueError, KeyError, TypeError) as error:
            return {"error": {"type": "LogError", "message": f"the request can't be read: {error}"}}

    def _committed(self, transactional_id: str, number: int, batches: Sequence[list[Any]]) -> dict[str, Any]:
        """Commit these records as one transaction of another process; without any, only see that it may."""
        known, writer = self._writers.get(transactional_id, (0, None))
        if writer is None or known != number:
            raise errors.FencedError(
                f"another writer took over the transactional id {transactional_id}",
                why="it is a later one, or the process that owns the log has started anew",
                hint="give the command again",
            )
        transaction = writer.begin()
        try:
            receipts = [transaction.append([_record(fields) for fields in batch]) for batch in batches]
            transaction.commit()
        finally:
            transaction.abort()
        return {"offsets": [receipt.offset for receipt in receipts]}


def ask(directory: Path, do: str, **asked: Any) -> dict[str, Any]:
    """Have the owner of the directory do something. Raises what it raised there, or LogUnavailableError."""
    try:
        connection, token = _reach(directory)
        request = {"v": _VERSION, "token": token, "do": do, **asked}
        with connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            line = stream.readline()
        if not line:
            raise ConnectionError("it hung up")
        answer: dict[str, Any] = json.loads(line)
    except (OSError, ValueError, KeyError) as error:
        raise errors.LogUnavailableError(
            f"the process that owns {directory} does not answer",
            why=str(error),
            hint="it is starting or has just ended: try again",
        ) from error
    if "error" in answer:
        fields = answer["error"]
        kind = getattr(errors, fields.pop("type"), errors.LogError)
        raise kind(fields.pop("message"), **fields)
    return answer


def fields_of(record: NewRecord) -> list[Any]:
    """A record as JSON has it."""
    topic, key, value, headers, partition = record
    return [topic, _text(key), _text(value), [[name, _text(mark)] for name, mark in headers], partition]


def _record(fields: list[Any]) -> NewRecord:
    topic, key, value, headers, partition = fields
    marks = tuple((str(name), b64decode(mark)) for name, mark in headers)
    return NewRecord(str(topic), _bytes(key), _bytes(value), marks, partition)


def _text(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def _reach(directory: Path) -> tuple[socket.socket, str]:
    """A connection to the owner, and its token. An owner that is just starting is waited for."""
    until = monotonic() + _START_S
    while True:
        try:
            address = json.loads((directory / ADDRESS).read_text(encoding="utf-8"))
            return _connected(address), str(address["token"])
        except OSError:
            if monotonic() >= until:
                raise
            sleep(0.05)


def _connected(address: dict[str, Any]) -> socket.socket:
    if "unix" in address:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(address["unix"])
        except BaseException:
            connection.close()
            raise
        return connection
    return socket.create_connection(("127.0.0.1", address["port"]), _TIMEOUT_S)
