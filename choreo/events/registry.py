"""Which schema an id stands for: kept in memory or in a directory; the same ids on every machine."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import Any

from choreo.errors import ConfigError, SchemaError, UnknownSchemaError
from choreo.events.schema import normalised

_IDS = 2**31
_SUFFIX = ".avsc"


class Registry(ABC):
    """Schemas by id. An id, once given out, stands for the same schema for ever."""

    @abstractmethod
    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of this schema under this subject, the same one each time. Raises SchemaError."""

    @abstractmethod
    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema behind an id. Raises UnknownSchemaError."""

    @abstractmethod
    def ids(self) -> Mapping[int, str]:
        """All ids, each with its subject."""


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
                self._create(schema_id, subject, schema)
                known = self._entry(schema_id)
            if known is not None and _same(known, subject, schema):
                return schema_id
        raise _full(subject)

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
            raise SchemaError("a schema of the registry can't be read", at=file, why=str(error),
                              hint="restore the file, or remove it and let its writer register it again") from error
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
                with suppress(FileExistsError):
                    os.link(draft, self._path / f"{schema_id}{_SUFFIX}")
            finally:
                draft.unlink()
        except OSError as error:
            raise SchemaError(f"the schema of {subject} can't be registered", at=self._path, why=str(error),
                              hint="make the directory writable, with room left on its disk") from error


def open_registry(url: str) -> Registry:
    """The registry at `memory:` or `dir:PATH`. Raises ConfigError for anything else."""
    kind, _, path = url.partition(":")
    if url == "memory:":
        return MemoryRegistry()
    if kind == "dir" and path:
        return DirectoryRegistry(path)
    if kind in ("http", "https"):
        raise ConfigError(f"{url}: a Confluent registry comes with a later release", hint="dir:schemas/.registry")
    raise ConfigError(f"{url}: there is no such kind of registry", hint="memory: or dir:PATH")


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
    return UnknownSchemaError(f"schema id {schema_id} is not registered", at=where,
                              hint="point the registry at the one that the event's writer uses")
