"""From an address to a log: the one place that knows which backend an address means."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from choreo.clock import Clock
from choreo.errors import ConfigError, StateInUseError
from choreo.log.interface import Log

_FORMS = "memory:, embedded:DIR, embedded:DIR?sync=commit or kafka://HOST:PORT"


def open_log(url: str, clock: Clock | None = None, config: Mapping[str, str] | None = None) -> Log:
    """The log at this address: `memory:`, `embedded:DIR[?sync=commit]` or `kafka://HOST:PORT[,...]`.

    `embedded:` gives the log itself, or a client of the process that owns DIR already. `config` holds raw librdkafka
    keys, for kafka only; `clock` is for the other two. Raises ConfigError for any other address.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory" and not rest:
        from choreo.log.memory import MemoryLog

        return MemoryLog(clock)
    if scheme == "embedded":
        return _open_embedded(url, rest, clock)
    if scheme == "kafka":
        from choreo.log.kafka import KafkaLog  # loads librdkafka, which the others do without

        return KafkaLog.from_url(url, config or {})
    raise ConfigError(f"{url!r} is not the address of a log", hint=f"use {_FORMS}")


def lacks_log(url: str) -> str:
    """The directory of an `embedded:` address in which there is no log yet: `open_log` would make one. Else empty."""
    scheme, _, rest = url.partition(":")
    directory = rest.partition("?")[0] if scheme == "embedded" else ""
    if not directory:
        return ""
    from choreo.log.embedded_store import has_log

    return "" if has_log(Path(directory)) else directory


def _open_embedded(url: str, rest: str, clock: Clock | None) -> Log:
    from choreo.log.embedded import EmbeddedLog
    from choreo.log.embedded_client import EmbeddedClient

    directory, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not directory or options not in ({}, {"sync": "commit"}):
        raise ConfigError(f"{url!r} is not the address of an embedded log", hint=f"use {_FORMS}")
    try:
        return EmbeddedLog(directory, sync=bool(options), clock=clock)
    except StateInUseError:
        return EmbeddedClient(directory)
