"""Which schema an id stands for: the interface, and the registries in memory and in a directory.

Those two give the same ids on every machine; a registry over HTTP (`http_registry.py`) gives its own.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import Any, Literal, NamedTuple, get_args

from choreo.errors import ConfigError, SchemaError, UnknownSchemaError
from choreo.events.schema import normalised

_IDS = 2**31
_SUFFIX = ".avsc"
SubjectStrategy = Literal["record", "topic-record", "topic"]
"""What a schema is registered under: shop.OrderPlaced, orders-shop.OrderPlaced or orders-value."""
IN_URL: Mapping[str, type] = {
    "ca": str,
    "client_certificate": str,
    "client_key": str,
    "timeout_s": float,
    "attempts": int,
    "subjects": str,
    "auto_register": bool,
}
"""Options that a URL may carry: `https://HOST?ca=FILE&subjects=topic`. Secrets are not among them: URLs are shown."""


@dataclass(frozen=True)
class RegistryOptions:
    """How a registry is used; all but `subjects` are for HTTP. Certificates and keys are PEM files.

    `auto_register`: schemas that are not there are added by whoever writes first (development). `timeout_s` for one
    attempt; `attempts` at a request whose failure may pass by itself.
    """

    subjects: SubjectStrategy = "record"
    auto_register: bool = False
    user: str = ""
    password: str = ""
    token: str = ""
    ca: str = ""
    client_certificate: str = ""
    client_key: str = ""
    client_password: str = ""
    timeout_s: float = 10.0
    attempts: int = 4


class Entry(NamedTuple):
    """One registered schema; versions are counted by registries that count them."""

    schema_id: int
    subject: str
    version: int | None = None


class Registry(ABC):
    """Schemas by id. An id, once given out, stands for the same schema for ever."""

    subjects_by: SubjectStrategy = "record"
    adds: bool = True
    """Whether `register` adds a schema that is not there."""

    @abstractmethod
    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of this schema under this subject, the same one each time. Raises SchemaError."""

    @abstractmethod
    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema behind an id. Raises UnknownSchemaError."""

    @abstractmethod
    def ids(self) -> Mapping[int, str]:
        """All ids, each with its subject."""

    def find(self, subject: str, schema: dict[str, Any]) -> int | None:
        """The id of this schema under this subject; None where it is not there."""
        same = (schema_id for schema_id, name in self.ids().items() if name == subject)
        wanted = normalised(schema)
        return next((schema_id for schema_id in same if normalised(self.schema(schema_id)) == wanted), None)

    def add(self, subject: str, schema: dict[str, Any]) -> int:
        """Register on purpose, whether or not `register` may: the same id each time. Raises SchemaError."""
        return self.register(subject, schema)

    def keep(self, schema_id: int, subject: str, schema: dict[str, Any]) -> bool:
        """Know a schema by the id that another registry gave it; False where ids are this registry's own."""
        return False

    def subjects(self) -> Sequence[str]:
        """Every subject, in order."""
        return sorted(set(self.ids().values()))

    def entries(self, subject: str | None = None) -> Iterator[Entry]:
        """Every registered schema, or those of one subject, older versions first where versions are counted."""
        listed = sorted((name, schema_id) for schema_id, name in self.ids().items())
        return (Entry(schema_id, name) for name, schema_id in listed if subject in (None, name))

    def subject_of(self, full_name: str, topic: str) -> str:
        """What the schema of an event is registered under."""
        named = {"record": full_name, "topic-record": f"{topic}-{full_name}", "topic": f"{topic}-value"}
        return named[self.subjects_by]


class MemoryRegistry(Registry):
    """Schemas that last as long as the process."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[str, dict[str, Any]]] = {}

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        for schema_id in _candidates(subject, schema):
            known = self._entries.setdefault(schema_id, (subject, schema))
            if _same(known, subject, schema):
                return schema_id
        raise _full(subject)

    def keep(self, schema_id: int, subject: str, schema: dict[str, Any]) -> bool:
        return _same(self._entries.setdefault(schema_id, (subject, schema)), subject, schema)

    def schema(self, schema_id: int) -> dict[str, Any]:
        if schema_id not in self._entries:
            raise _unknown(schema_id, "the registry in memory")
        return self._entries[schema_id][1]

    def ids(self) -> Mapping[int, str]:
        return {schema_id: subject for schema_id, (subject, _) in self._entries.items()}


class DirectoryRegistry(Registry):
    """Schemas in DIR/by-id/ID.avsc, each `{"subject": ..., "schema": ...}`; several processes may share it."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path) / "by-id"
        self._entries: dict[int, tuple[str, dict[str, Any]]] = {}

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        for schema_id in _candidates(subject, schema):
            known = self._entry(schema_id)
            if known is None:
                kept = self.find(subject, schema)  # by the id of another registry: `keep`
                if kept is not None:
                    return kept
                self._create(schema_id, subject, schema)
                known = self._entry(schema_id)
            if known is not None and _same(known, subject, schema):
                return schema_id
        raise _full(subject)

    def keep(self, schema_id: int, subject: str, schema: dict[str, Any]) -> bool:
        if self._entry(schema_id) is None:
            self._create(schema_id, subject, schema)
        known = self._entry(schema_id)
        return known is not None and _same(known, subject, schema)

    def schema(self, schema_id: int) -> dict[str, Any]:
        entry = self._entry(schema_id)
        if entry is None:
            raise _unknown(schema_id, str(self._path))
        return entry[1]

    def ids(self) -> Mapping[int, str]:
        found = {}
        for file in sorted(self._path.glob(f"*{_SUFFIX}")):
            entry = self._entry(int(file.stem)) if file.stem.isdecimal() else None
            if entry is not None:
                found[int(file.stem)] = entry[0]
        return found

    def _entry(self, schema_id: int) -> tuple[str, dict[str, Any]] | None:
        """What an id stands for. A miss looks at the disk again: another process may have registered it."""
        known = self._entries.get(schema_id)
        if known is not None:
            return known
        file = self._path / f"{schema_id}{_SUFFIX}"
        try:
            content = json.loads(file.read_bytes())
            entry = (str(content["subject"]), dict(content["schema"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SchemaError(
                "a schema of the registry can't be read",
                at=file,
                why=str(error),
                hint="restore the file, or remove it and let its writer register it again",
            ) from error
        self._entries[schema_id] = entry
        return entry

    def _create(self, schema_id: int, subject: str, schema: dict[str, Any]) -> None:
        """Write the file at once and only if there is none: a link, unlike a rename, never replaces another's."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            draft = self._path / f".draft-{schema_id}-{os.getpid()}-{get_ident()}"
            with draft.open("w", encoding="utf-8") as file:
                json.dump({"subject": subject, "schema": schema}, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            try:
                _put_in_place(draft, self._path / f"{schema_id}{_SUFFIX}")
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise SchemaError(
                f"the schema of {subject} can't be registered",
                at=self._path,
                why=str(error),
                hint="make the directory writable, with room left on its disk",
            ) from error


def _put_in_place(draft: Path, place: Path) -> None:
    """Give a whole file its name, unless there is one of that name already."""
    try:
        with suppress(FileExistsError):
            os.link(draft, place)
    except (OSError, AttributeError):  # this file system, or this Python, has no links
        if not place.exists():
            draft.replace(place)  # who does so at the same time has written the same


def from_query(options: RegistryOptions, query: Mapping[str, str], at: str) -> RegistryOptions:
    """The options with those of a URL over them. Raises ConfigError."""
    said: dict[str, Any] = {}
    for name, text in query.items():
        if name not in IN_URL:
            raise ConfigError(f"{name} is no option of a registry's URL", at=at, hint=f"one of {', '.join(IN_URL)}")
        try:
            said[name] = text.lower() in ("true", "1", "yes") if IN_URL[name] is bool else IN_URL[name](text)
        except ValueError:
            raise ConfigError(f"{name}={text} is no number", at=at, hint=f"{name}=4") from None
    return checked(replace(options, **said))


def checked(options: RegistryOptions) -> RegistryOptions:
    """The options, if they make sense. Raises ConfigError."""
    known = get_args(SubjectStrategy)
    if options.subjects not in known:
        raise ConfigError(
            f"subjects = {options.subjects} is no way to name subjects", hint=f"one of {', '.join(known)}"
        )
    if options.timeout_s <= 0 or options.attempts < 1:
        raise ConfigError("a registry needs a timeout_s and at least one of its attempts", hint="10 and 4")
    return options


def _candidates(subject: str, schema: dict[str, Any]) -> Iterator[int]:
    """The ids that this schema may have, the likely one first: others only if two schemas share 31 bits."""
    text = json.dumps(normalised(schema), sort_keys=True, separators=(",", ":"))
    first = int.from_bytes(sha256(f"{subject}\0{text}".encode()).digest()[:4], "big") >> 1
    return ((first + probe) % _IDS for probe in range(1000))


def _same(known: tuple[str, dict[str, Any]], subject: str, schema: dict[str, Any]) -> bool:
    return known[0] == subject and (known[1] == schema or bool(normalised(known[1]) == normalised(schema)))


def _full(subject: str) -> SchemaError:
    return SchemaError(f"no id is free for the schema of {subject}", hint="is this the registry that you mean?")


def _unknown(schema_id: int, where: str) -> UnknownSchemaError:
    return UnknownSchemaError(
        f"schema id {schema_id} is not registered",
        at=where,
        hint="point the registry at the one that the event's writer uses",
    )
