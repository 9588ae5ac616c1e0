"""CloudEvents 1.0 over Kafka, binary and structured mode, as its binding says; JSON is the one structured format.

Source: https://github.com/cloudevents/spec, kafka-protocol-binding.md and json-format.md.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from choreo.errors import EventError
from choreo.record import Headers, Record

PREFIX, CONTENT_TYPE = "ce_", "content-type"
STRUCTURED = "application/cloudevents"
_JSON = f"{STRUCTURED}+json"
_WRITTEN = (CONTENT_TYPE, f"{_JSON}; charset=UTF-8".encode())
_REQUIRED = ("specversion", "id", "source", "type")
_MODES: tuple[str, ...] = ("binary", "structured")
_NAME = re.compile(r"[a-z0-9]+")
_BETWEEN = re.compile(r"[\s,:]*")


@dataclass(frozen=True)
class CloudEvents:
    """`cloudevents=CloudEvents(...)`: how the events of a class lie on its topic, for `cloudevents=True` and finer.

    `mode`: binary has the attributes in headers, structured has them in one JSON object with the data; either is read.
    `type` and `source` are the attributes of these names: the class's full name and `/choreo/TOPIC` where not said.
    `partition_key`: the extension `partitionkey` says the record's key, for who sends the event on by another way.
    """

    mode: Literal["binary", "structured"] = "binary"
    type: str | None = None
    source: str | None = None
    partition_key: bool = False

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise EventError(f"CloudEvents(mode={self.mode!r}): there is no such mode", hint=" or ".join(_MODES))
        if "" in (self.type, self.source):
            raise EventError("CloudEvents: type and source can't be empty", hint="leave them out for the usual ones")


class CloudEvent(NamedTuple):
    """Attributes by name, as text, with `datacontenttype` where it is said; `data` as it would be in binary mode."""

    attributes: Mapping[str, str]
    data: bytes | None


def read_cloud_event(record: Record) -> CloudEvent | None:
    """The CloudEvent of a record, of either mode; None for a record that is none.

    Raises ValueError for one that breaks the specification.
    """
    headers = {name: value for name, value in record.headers if name == CONTENT_TYPE or name.startswith(PREFIX)}
    media_type = bytes(headers.get(CONTENT_TYPE, b"")).decode()
    if media_type.lower().startswith(STRUCTURED):
        return _checked(_structured(media_type, record.value))
    if PREFIX + "specversion" not in headers:
        return None
    attributes = {name[len(PREFIX) :]: bytes(value).decode() for name, value in headers.items() if name != CONTENT_TYPE}
    if media_type:
        attributes["datacontenttype"] = media_type
    return _checked(CloudEvent(attributes, record.value))


def binary_headers(attributes: Mapping[str, str]) -> Headers:
    """The headers of binary mode; the data is the record's value as it is."""
    return tuple(
        (CONTENT_TYPE if name == "datacontenttype" else PREFIX + name, text.encode())
        for name, text in attributes.items()
    )


def structured(event: CloudEvent) -> tuple[bytes, Headers]:
    """The value and the headers of structured mode: data that is JSON stands in it as JSON, other data as Base64."""
    head = json.dumps(dict(event.attributes), ensure_ascii=False, separators=(",", ":")).encode()[:-1]
    if event.data is None:
        return head + b"}", (_WRITTEN,)
    if _is_json(event.attributes.get("datacontenttype", "")):
        return b'%s,"data":%s}' % (head, event.data), (_WRITTEN,)
    return b'%s,"data_base64":"%s"}' % (head, b64encode(event.data)), (_WRITTEN,)


def _structured(media_type: str, value: bytes | None) -> CloudEvent:
    kind = media_type.partition(";")[0].strip().lower()
    if kind.startswith(f"{STRUCTURED}-batch"):
        raise ValueError(
            f"{kind}: a record of several events, which the Kafka binding does not have; one record for each"
        )
    if kind != _JSON:
        raise ValueError(f"structured mode in {kind}: only {_JSON} is read")
    text = (value or b"").decode("utf-8-sig")
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError(f"a structured CloudEvent is a JSON object, not a {type(body).__name__}")
    data, packed = body.pop("data", None), body.pop("data_base64", None)
    attributes = {name: _attribute(name, part) for name, part in body.items() if part is not None}
    if packed is not None:
        if data is not None or not isinstance(packed, str):
            raise ValueError("data_base64 is text, and stands without data")
        return CloudEvent(attributes, b64decode(packed, validate=True))
    if data is None:
        return CloudEvent(attributes, None)
    if isinstance(data, str) and not _is_json(attributes.get("datacontenttype", "")):
        return CloudEvent(attributes, data.encode())
    return CloudEvent(attributes, _as_written(text, "data").encode())


def _as_written(text: str, wanted: str) -> str:
    """A member of a valid JSON object letter by letter: parsed and written anew, its numbers might lose digits."""
    found, decode = "", json.JSONDecoder().raw_decode
    at = _after(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = decode(text, at)
        at = _after(text, at)
        _, end = decode(text, at)
        found = text[at:end] if name == wanted else found
        at = _after(text, end)
    return found


def _after(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    assert between is not None
    return between.end()


def _attribute(name: str, value: Any) -> str:
    """An attribute as text: its canonical form (CloudEvents specification, "Type System")."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    raise ValueError(f"the attribute {name} is a JSON {type(value).__name__}")


def _checked(event: CloudEvent) -> CloudEvent:
    missing = [name for name in _REQUIRED if not event.attributes.get(name)]
    if missing:
        raise ValueError(f"a CloudEvent without {', '.join(missing)}")
    if (version := event.attributes["specversion"]) != "1.0":
        raise ValueError(f"a CloudEvent of specversion {version}: only 1.0 is read")
    if strange := next((name for name in event.attributes if not _NAME.fullmatch(name)), None):
        raise ValueError(f"a CloudEvent with an attribute called {strange!r}")
    return event


def _is_json(media_type: str) -> bool:
    """Whether data of this type stands in structured mode as JSON (json-format.md, 3.1): also where none is said."""
    kind = media_type.partition(";")[0].strip().lower()
    return not kind or kind.endswith(("/json", "+json"))
