"""Ids as text headers (`choreo-event-id` ...), as CloudEvents headers (`ce_id` ...), and from the body of an event."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from choreo.clock import to_datetime, to_micros
from choreo.errors import DecodeError
from choreo.events.contract import Contract
from choreo.events.envelope import FOREIGN, Ids, SagaMark
from choreo.events.event import Event
from choreo.record import Headers


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
    }
    return tuple((f"choreo-{name}", text.encode()) for name, text in said.items() if text is not None)


def cloud_headers(contract: Contract, others: Callable[[Ids], Headers]) -> Callable[[Ids], Headers]:
    """CloudEvents 1.0 headers (Kafka binding, binary mode) beside the `others`."""
    fixed = (("ce_specversion", b"1.0"), ("ce_type", contract.full_name.encode()),
             ("ce_source", f"/choreo/{contract.topic}".encode()))

    def headers(ids: Ids) -> Headers:
        own = (("ce_id", str(UUID(bytes=ids.event_id)).encode()), ("ce_time", to_datetime(ids.at).isoformat().encode()),
               ("ce_correlationid", ids.correlation_id.encode()))
        return (*others(ids), *fixed, *own)

    return headers


def plain_ids(headers: Headers, given: Ids) -> Ids:
    """The ids that text headers name, `given` for the rest. An id that is no UUID becomes one (version 5).

    Raises DecodeError for a header that can't be read.
    """
    try:
        told = {name: bytes(value).decode() for name, value in headers if name.startswith(("choreo-", "ce_"))}
        return _told_ids(told, given) if told else given
    except (ValueError, TypeError, OverflowError) as error:
        raise DecodeError(f"the ids in the headers can't be read: {error}",
                          hint="choreo-event-id is a UUID, choreo-at ISO 8601; or leave them out") from error


def wire_ids(cls: type[Event], body: Mapping[str, Any], given: Ids) -> Ids:
    """The ids that the body of an external event names (`Json(event_id=..., timestamp=...)`), `given` for the rest."""
    wire = cls.contract.wire
    assert wire is not None
    try:
        if (own := wire.event_id(body)) is not None:
            event_id = _uuid(own, cls.contract.topic)
            given = given._replace(event_id=event_id.bytes, correlation_id=str(event_id))
        if (moment := wire.timestamp(body)) is not None:
            millis = isinstance(moment, (int, float))
            given = given._replace(at=int(moment * 1000) if millis else _micros(str(moment)))  # type: ignore[operator]
        return given
    except (ValueError, TypeError, OverflowError) as error:
        raise DecodeError(f"the ids in the body can't be read: {error}",
                          hint="timestamp is ISO 8601 text or milliseconds since 1970") from error


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
    saga = told.get("choreo-saga")
    return given._replace(
        causation_id=UUID(wide["causation"]).bytes if wide["causation"] else None,
        request_id=UUID(wide["request"]).bytes if wide["request"] else None,
        attempt=int(told.get("choreo-attempt", "1")),
        cancelled=told.get("choreo-cancelled") == "true",
        saga=SagaMark.model_validate_json(saga) if saga else None,
        key_id=told.get("choreo-key-id"),
    )


def _uuid(text: str, source: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(FOREIGN, f"{source} {text}")


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
