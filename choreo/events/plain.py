"""Ids as text: in headers (`choreo-event-id` ...), as attributes of a CloudEvent (`ce_id` ...), in the body."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from choreo.clock import to_datetime, to_micros
from choreo.errors import DecodeError, because
from choreo.events.cloudevents import CloudEvents
from choreo.events.envelope import FOREIGN, HEADER, WISHES, Again, Ids, again_in, header_in, pack
from choreo.events.saga_mark import SagaMark
from choreo.events.wire import Wire
from choreo.record import Headers

_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999."""
_MILLIS_DIGITS = 11
"""Shorter digits are a date as ISO 8601 writes it without hyphens, or a time before the spring of 1970."""
_ID_WORDS = ("event-id", "correlation-id", "causation-id", "request-id", "attempt", "at", "cancelled", "saga", "key-id")
_ID_HEADERS = {f"choreo-{word}" for word in (*_ID_WORDS, "again")}


def plain_headers(ids: Ids) -> Headers:
    """The ids as text, one header each; those that say nothing are left out."""
    said = {
        "event-id": str(UUID(bytes=ids.event_id)),
        "correlation-id": ids.correlation_id,
        "causation-id": str(UUID(bytes=ids.causation_id)) if ids.causation_id else None,
        "request-id": str(UUID(bytes=ids.request_id)) if ids.request_id else None,
        "attempt": str(ids.attempt) if ids.attempt != 1 else None,
        "at": to_datetime(ids.at).isoformat(),
        "cancelled": "true" if ids.cancelled else None,
        "saga": ids.saga.model_dump_json() if ids.saga else None,
        "key-id": ids.key_id,
        "again": _again_text(ids.again) if ids.again else None,
    }
    return tuple((f"choreo-{name}", text.encode()) for name, text in said.items() if text is not None)


def headers_again(headers: Headers, ids: Ids) -> Headers:
    """The headers of a record that is put on the log once more under these ids: packed where they were packed, else in
    text, also for a record that had none; whatever else it carries stays.
    """
    if any(name == HEADER for name, _ in headers):
        return ((HEADER, pack(ids)), *(pair for pair in headers if pair[0] != HEADER))
    return (*(pair for pair in headers if pair[0] not in _ID_HEADERS), *plain_headers(ids))


def mark_in(headers: Headers) -> Again | None:
    """The mark of a record that an operator put on the log again, packed or in text. Raises DecodeError."""
    packed = header_in(headers)
    if packed is not None:
        return again_in(packed)
    try:
        for name, value in headers:
            if name == "choreo-again":
                return _told_again(bytes(value).decode())
    except ValueError as error:
        raise because(DecodeError(f"the mark in the headers can't be read: {error}"), error)
    return None


def cloud_attributes(cloud: CloudEvents, content_type: str, ids: Ids, key: bytes | None) -> dict[str, str]:
    """The attributes of an event as a CloudEvent, with the extensions for correlation, causation and partitioning."""
    said = {
        "specversion": "1.0",
        "id": str(UUID(bytes=ids.event_id)),
        "source": cloud.source,
        "type": cloud.type,
        "time": to_datetime(ids.at).isoformat(),
        "datacontenttype": content_type,
        "correlationid": ids.correlation_id,
        "causationid": str(UUID(bytes=ids.causation_id)) if ids.causation_id else None,
        "partitionkey": key.decode() if cloud.partition_key and key else None,
    }
    return {name: text for name, text in said.items() if text is not None}


def plain_ids(headers: Headers, given: Ids) -> Ids:
    """The ids that text headers name, `given` for the rest. An id that is no UUID becomes one (version 5).

    Raises DecodeError for a header that can't be read.
    """
    try:
        told = {name: bytes(value).decode() for name, value in headers if name.startswith(("choreo-", "ce_"))}
        return _told_ids(told, given) if told else given
    except (ValueError, TypeError, OverflowError) as error:
        raise because(
            DecodeError(
                f"the ids in the headers can't be read: {error}",
                hint="choreo-event-id is a UUID, choreo-at ISO 8601; or leave them out",
            ),
            error,
        )


def wire_ids(topic: str, wire: Wire, body: Mapping[str, Any], given: Ids) -> Ids:
    """The ids that the body of an event names (`Json(event_id=..., timestamp=...)`), `given` for the rest.

    Raises DecodeError for one that can't be read.
    """
    try:
        if (own := wire.event_id(body)) is not None:
            event_id = _uuid(own, topic)
            given = given._replace(event_id=event_id.bytes, correlation_id=str(event_id))
        if (moment := wire.timestamp(body)) is not None:
            given = given._replace(at=_micros(moment))
        return given
    except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
        raise because(
            DecodeError(
                f"the ids in the body can't be read: {error}",
                hint="timestamp is ISO 8601 text or milliseconds since 1970",
            ),
            error,
        )


def _told_ids(told: Mapping[str, str], given: Ids) -> Ids:
    event_id, source = told.get("choreo-event-id") or told.get("ce_id"), told.get("ce_source", "")
    if event_id:
        own = _uuid(event_id, source)
        given = given._replace(event_id=own.bytes, correlation_id=str(own))
    if correlation_id := told.get("choreo-correlation-id") or told.get("ce_correlationid"):
        given = given._replace(correlation_id=correlation_id)
    if moment := told.get("choreo-at") or told.get("ce_time"):
        given = given._replace(at=_micros(moment))
    wide = {word: told.get(f"choreo-{word}-id") for word in ("causation", "request")}
    foreign = told.get("ce_causationid")
    caused = _uuid(foreign, source).bytes if foreign else None
    saga = told.get("choreo-saga")
    return given._replace(
        causation_id=UUID(wide["causation"]).bytes if wide["causation"] else caused,
        request_id=UUID(wide["request"]).bytes if wide["request"] else None,
        attempt=int(told.get("choreo-attempt", "1")),
        cancelled=told.get("choreo-cancelled") == "true",
        saga=SagaMark.model_validate_json(saga) if saga else None,
        key_id=told.get("choreo-key-id"),
        again=_told_again(told["choreo-again"]) if "choreo-again" in told else None,
    )


def _again_text(again: Again) -> str:
    """The id of the operation; then, where there is more to say, the wish and the service that is meant."""
    operation = str(UUID(bytes=again.operation))
    return operation if again == Again(again.operation) else f"{operation} {again.wish} {again.only}"


def _told_again(text: str) -> Again:
    operation, _, rest = text.partition(" ")
    wish, _, only = rest.partition(" ")
    for known in WISHES:
        if known == (wish or "handle"):
            return Again(UUID(operation).bytes, only, known)
    raise ValueError(f"choreo-again: {wish!r} is none of {', '.join(WISHES)}")


def _uuid(text: str, source: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(FOREIGN, f"{source} {text}")


def _micros(moment: object) -> int:
    """Microseconds since 1970 of ISO 8601 text, a datetime, or milliseconds since 1970 (a number, or its digits)."""
    if isinstance(moment, str):
        moment = int(moment) if len(moment) >= _MILLIS_DIGITS and moment.isdecimal() else datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if isinstance(moment, bool) or not isinstance(moment, (int, float, Decimal)):
        raise TypeError(f"{moment!r} is no moment")
    if not _FIRST_MS <= moment <= _LAST_MS:
        raise OverflowError(f"{moment} ms since 1970 is no year that a date can have")
    return int(moment * 1000)
