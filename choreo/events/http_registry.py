"""A Confluent-compatible schema registry (Confluent, Apicurio, Karapace ...) over HTTP: what is asked, kept and said.

The client is the standard library's: four questions asked a few times a start are not worth confluent-kafka's extra,
which takes 0.7 s to import and brings two more HTTP libraries. How requests travel is in `registry_wire.py`.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from choreo.errors import RegistryUnavailableError, SchemaError, UnknownSchemaError
from choreo.events.registry import Entry, Registry, RegistryOptions
from choreo.events.registry_wire import Answer, Connection
from choreo.events.resolution import resolve
from choreo.events.schema import inlined

MISSING_FOR_S = 5.0
"""How long an id that the registry does not know is not asked for again: a flood of garbage asks once."""
NO_SUBJECT, NO_VERSION, NO_SCHEMA = 40401, 40402, 40403


class HttpRegistry(Registry):
    """Schemas of a registry that others use too. Its ids are its own: those of one registry mean nothing to another.

    `register` finds the id of a schema that is there; one that is not is added only with `options.auto_register`.
    Raises ConfigError for a URL or an option that makes no sense.
    """

    def __init__(
        self,
        url: str,
        options: RegistryOptions | None = None,
        *,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = Connection(url, options or RegistryOptions(), wait)
        self._options = self._connection.options
        self.subjects_by, self.adds = self._options.subjects, self._options.auto_register
        self._clock = clock
        self._schemas: dict[int, dict[str, Any]] = {}
        self._missing: dict[int, float] = {}

    def __str__(self) -> str:
        return self._connection.shown

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of this schema under this subject.

        Raises SchemaError where it is not there and may not be added, or where the registry refuses it, and
        RegistryUnavailableError.
        """
        found = self.find(subject, schema)
        if found is not None:
            return found
        if not self._options.auto_register:
            raise SchemaError(
                f"the schema of {subject} is not registered",
                at=self,
                why="outside of development nobody registers a schema by running",
                hint="choreo schemas register, or [registry] auto_register = true for development",
            )
        return self.add(subject, schema)

    def find(self, subject: str, schema: dict[str, Any]) -> int | None:
        """The id of this schema under this subject; None where it is not there."""
        answer = self._ask("POST", f"/subjects/{_quoted(subject)}", {"schema": json.dumps(schema)})
        if answer.status == 404 and answer.code in (NO_SUBJECT, NO_SCHEMA):
            return None
        body = self._expect(answer, f"the schema of {subject} can't be looked up")
        schema_id = int(body["id"])
        # Some registries answer a schema that differs in what does not lie in a body; others only in docs. Never trust
        # an id under which our bodies would be read as something else.
        return schema_id if _reads_alike(self.schema(schema_id), schema) else None

    def add(self, subject: str, schema: dict[str, Any]) -> int:
        """Register a schema under this subject; the same id each time. Raises SchemaError where it is refused."""
        answer = self._ask("POST", f"/subjects/{_quoted(subject)}/versions", {"schema": json.dumps(schema)})
        if answer.status == 409:
            raise SchemaError(
                f"the registry refuses the schema of {subject}: its readers could not read each other",
                at=self,
                why=answer.message,
                hint="choreo schemas diff shows what changed; give new fields a default, or make a new class",
            )
        schema_id = int(self._expect(answer, f"the schema of {subject} can't be registered")["id"])
        if not _reads_alike(self.schema(schema_id), schema):
            raise SchemaError(
                f"the registry answers id {schema_id} for {subject}, which stands for another schema",
                at=self,
                why="bodies written under it could not be read",
                hint="choreo schemas show shows what it has; is its rule for equal schemas too loose?",
            )
        return schema_id

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema behind an id; asked for once. Raises UnknownSchemaError, RegistryUnavailableError."""
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        if self._missing.get(schema_id, -MISSING_FOR_S) > self._clock() - MISSING_FOR_S:
            raise self._unknown(schema_id)
        answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        if answer.status == 404:
            if len(self._missing) >= 1000:
                self._missing.clear()
            self._missing[schema_id] = self._clock()
            raise self._unknown(schema_id)
        schema = self._parsed(self._expect(answer, f"schema {schema_id} can't be read"), f"schema {schema_id}")
        self._schemas[schema_id] = schema
        return schema

    def ids(self) -> Mapping[int, str]:
        """All ids, each with one of its subjects: two requests a subject and more."""
        return {entry.schema_id: entry.subject for entry in self.entries()}

    def subjects(self) -> Sequence[str]:
        answer = self._ask("GET", "/subjects")
        return sorted(map(str, self._expect(answer, "the subjects can't be listed")))

    def entries(self, subject: str | None = None) -> Iterator[Entry]:
        for name in self.subjects() if subject is None else [subject]:
            answer = self._ask("GET", f"/subjects/{_quoted(name)}/versions")
            if answer.status == 404:  # deleted meanwhile, or never there
                continue
            for version in self._expect(answer, f"the versions of {name} can't be listed"):
                found = self._ask("GET", f"/subjects/{_quoted(name)}/versions/{version}")
                yield Entry(int(self._expect(found, f"{name} {version} can't be read")["id"]), name, int(version))

    def _parsed(self, body: Mapping[str, Any], what: str) -> dict[str, Any]:
        kind = body.get("schemaType") or "AVRO"
        if kind != "AVRO":
            raise SchemaError(f"{what} is {kind}, not Avro", at=self, hint="Json() as wire= of an external event")
        try:
            schema = json.loads(body["schema"])
        except (ValueError, KeyError, TypeError) as error:
            raise SchemaError(f"{what} is no Avro schema", at=self, why=str(error)) from error
        named = {name: part for part in body.get("references") or () for name, part in [self._reference(part)]}
        schema = inlined(schema, named.get) if named else schema
        if not isinstance(schema, dict):
            raise SchemaError(f"{what} is no record", at=self, why=f"it is {schema!r}")
        return schema

    def _reference(self, reference: Mapping[str, Any]) -> tuple[str, Any]:
        """A type that a schema takes from another subject: its name and what it is."""
        subject, version = str(reference["subject"]), reference["version"]
        answer = self._ask("GET", f"/subjects/{_quoted(subject)}/versions/{version}")
        return str(reference["name"]), self._parsed(self._expect(answer, f"{subject} can't be read"), subject)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        return self._connection.ask(method, path, body)

    def _expect(self, answer: Answer, failed: str) -> Any:
        """The body of an answer that is fine. Raises SchemaError, RegistryUnavailableError."""
        if answer.status == 200:
            return answer.body
        if answer.status in (401, 403):
            why = answer.message or ("no or wrong credentials" if answer.status == 401 else "they lack the right")
            hint = "[registry] user and password, or token (CHOREO_REGISTRY_PASSWORD, CHOREO_REGISTRY_TOKEN)"
            raise SchemaError(f"{failed}: the registry refuses these credentials", at=self, why=why, hint=hint)
        if 300 <= answer.status < 400:
            hint = "set [registry] url to where it has moved"
            raise SchemaError(f"{failed}: the registry has moved", at=self, why=answer.message, hint=hint)
        why = f"HTTP {answer.status} {answer.message}".strip()
        if answer.status >= 500 or answer.status == 429:
            raise RegistryUnavailableError(failed, at=self, why=why, hint="is the registry well? try again later")
        hint = "does the URL end where the API begins, such as http://HOST:8080/apis/ccompat/v7 for Apicurio?"
        raise SchemaError(failed, at=self, why=why, hint=None if answer.code else hint)

    def _unknown(self, schema_id: int) -> UnknownSchemaError:
        hint = "point the registry at the one that the event's writer uses"
        return UnknownSchemaError(f"schema id {schema_id} is not registered", at=self, hint=hint)


def _reads_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a body of one is one of the other: each reads the other under the same names, fields in one order."""
    same = resolve(one, other), resolve(other, one)
    return not any(part.problems for part in same) and _bare(same[0].schema) == _bare(other)


def _bare(schema: Any) -> Any:
    """What lies in a body: names and types, in order."""
    from fastavro.schema import to_parsing_canonical_form

    return to_parsing_canonical_form(schema)


def _quoted(subject: str) -> str:
    return quote(subject, safe="")
