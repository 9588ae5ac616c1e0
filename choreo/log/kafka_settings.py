"""Where a Kafka is and how to speak to it: the URL, raw librdkafka keys, and the settings that Choreo needs.

Sources: RUNTIME_NOTES section 2; librdkafka's CONFIGURATION.md for which client takes which key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl

from choreo.errors import ConfigError
from choreo.log.interface import Membership

TRANSACTION_TIMEOUT_S = 20.0
DEFAULT_PORT = 9092
SECURITY = {
    "plaintext": "plaintext",
    "tls": "ssl",
    "mtls": "ssl",
    "ssl": "ssl",
    "sasl_plaintext": "sasl_plaintext",
    "sasl_tls": "sasl_ssl",
    "sasl_ssl": "sasl_ssl",
}
KEPT = frozenset(
    [
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "isolation.level",
        "metadata.broker.list",
        "partitioner",
        "partition.assignment.strategy",
        "request.required.acks",
        "session.timeout.ms",
        "transactional.id",
    ]
)
"""What Choreo's promises rest on."""
CONSUMER_ONLY = frozenset(
    [
        "auto.commit.interval.ms",
        "check.crcs",
        "coordinator.query.interval.ms",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "group.remote.assignor",
        "heartbeat.interval.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "queued.max.messages.kbytes",
        "queued.min.messages",
    ]
)
PRODUCER_ONLY = frozenset(
    [
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "delivery.timeout.ms",
        "linger.ms",
        "message.send.max.retries",
        "message.timeout.ms",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "queuing.strategy",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
    ]
)
Config = dict[str, str | int | float | bool]
PREFETCHED_KB, READER_KB = 1_024, 4_096
"""Of each partition of a reader, and of all of them together: a reader is no quicker with more."""
MOST_PREFETCHED_KB = 131_072
"""By a member of a group, over all of its partitions."""

CONSUMER: Config = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    # Offsets are always given; where one has been deleted by retention, a silent jump would be a silent loss.
    "auto.offset.reset": "error",
    # Tells that a partition is read to its end, and moves on past aborted records and markers.
    "enable.partition.eof": True,
    "fetch.queue.backoff.ms": 10,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": MOST_PREFETCHED_KB,
    "fetch.message.max.bytes": 4_194_304,
    "fetch.wait.max.ms": 100,
    "fetch.min.bytes": 1,
    "check.crcs": False,
    "max.poll.interval.ms": 300_000,
}
PRODUCER: Config = {
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "batch.num.messages": 10_000,
    "message.max.bytes": 1_048_588,
    "queue.buffering.max.messages": 500_000,
    "topic.metadata.propagation.max.ms": 5_000,
}


@dataclass(frozen=True)
class KafkaSettings:
    """Brokers, the environment's prefix, and raw librdkafka keys by client."""

    bootstrap: str
    prefix: str = ""
    common: Mapping[str, str] = field(default_factory=dict)
    consumer_only: Mapping[str, str] = field(default_factory=dict)
    producer_only: Mapping[str, str] = field(default_factory=dict)
    admin_only: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str, config: Mapping[str, str]) -> Self:
        """From `kafka://HOST[:PORT],...?prefix=NAME&security=tls` and raw keys.

        A raw key goes to the clients that know it; `consumer.KEY`, `producer.KEY` and `admin.KEY` go to one kind only.
        Raises ConfigError.
        """
        hosts, _, query = url.removeprefix("kafka://").partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        prefix, security = options.pop("prefix", ""), options.pop("security", None)
        if options:
            raise ConfigError(
                f"a kafka:// URL takes no {next(iter(options))}",
                at=url,
                hint="prefix= and security= stand in the URL; librdkafka's own keys belong under [kafka]",
            )
        sections: dict[str, dict[str, str]] = {"": {}, "consumer": {}, "producer": {}, "admin": {}}
        if security is not None:
            sections[""]["security.protocol"] = _protocol(security, url)
        for name, value in config.items():
            section, key = _section(name)
            sections[section][key] = str(value)
        return cls(
            _bootstrap(hosts, url),
            _prefix(prefix, url),
            sections[""],
            sections["consumer"],
            sections["producer"],
            sections["admin"],
        )

    def connection(self) -> Config:
        """What every client needs."""
        return {"bootstrap.servers": self.bootstrap, "enable.metrics.push": False, **self.common}

    def admin(self) -> Config:
        return {**self.connection(), **self.admin_only}

    def reader(self, partitions: int) -> Config:
        """A consumer of so many partitions outside of any group; it never joins or commits, the name is for quotas and
        rights only. Replays hold one open for each input of a task: what they prefetch adds up.
        """
        return {
            **self.connection(),
            **CONSUMER,
            "queued.max.messages.kbytes": min(PREFETCHED_KB * partitions, READER_KB),
            "fetch.message.max.bytes": PREFETCHED_KB << 10,
            "fetch.max.bytes": READER_KB << 10,
            **self.consumer_only,
            "group.id": f"{self.prefix}choreo.reader",
        }

    def asker(self, group: str) -> Config:
        """A consumer that asks what a group has committed and never joins it. Transactions in flight don't count."""
        return {
            **self.connection(),
            **CONSUMER,
            **self.consumer_only,
            "group.id": self.prefix + group,
            "isolation.level": "read_uncommitted",
        }

    def member(self, membership: Membership) -> Config:
        """A static member of a classic group: back within seconds of a kill -9 under the same instance.

        `range` puts partition n of every topic at the same member.
        """
        session_ms = max(1, round(membership.session_timeout_s * 1000))
        return {
            **self.connection(),
            **CONSUMER,
            "heartbeat.interval.ms": max(1, min(500, session_ms // 3)),
            **self.consumer_only,
            "group.id": self.prefix + membership.group,
            "group.instance.id": membership.instance,
            "group.protocol": "classic",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": session_ms,
        }

    def producer(self) -> Config:
        return {**self.connection(), **PRODUCER, **self.producer_only}

    def writer(self, transactional_id: str) -> Config:
        return {
            **self.connection(),
            **PRODUCER,
            "transaction.timeout.ms": round(TRANSACTION_TIMEOUT_S * 1000),
            # A transaction right behind another finds its markers still being written and is sent back to try again:
            # in a row of them each takes 107 ms with the default of 100, and 6 ms with this. Backs off to a second.
            "retry.backoff.max.ms": 1_000,
            "retry.backoff.ms": 2,
            **self.producer_only,
            "transactional.id": self.prefix + transactional_id,
        }


class Names:
    """Topics, groups and ids as Choreo and as Kafka call them: the environment's prefix stands in front of Kafka's."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def full(self, name: str) -> str:
        return self.prefix + name

    def plain(self, full: str) -> str:
        return full.removeprefix(self.prefix)


def _section(name: str) -> tuple[str, str]:
    head, _, rest = name.partition(".")
    section, key = (head, rest) if head in ("consumer", "producer", "admin") and rest else ("", name)
    if key in KEPT:
        raise ConfigError(
            f"{key} can't be set",
            at=f"[kafka] {name}",
            why="Choreo's promises rest on its value",
            hint="remove it",
        )
    if not section:
        section = "consumer" if key in CONSUMER_ONLY else "producer" if key in PRODUCER_ONLY else ""
    return section, key


def _protocol(security: str, url: str) -> str:
    protocol = SECURITY.get(security.lower())
    if protocol is None:
        raise ConfigError(f"security={security} is unknown", at=url, hint=f"one of {', '.join(SECURITY)}")
    return protocol


def _bootstrap(hosts: str, url: str) -> str:
    named = [host.strip().strip("/") for host in hosts.split(",")]
    if not all(named):
        raise ConfigError("a kafka:// URL without a broker", at=url, hint="kafka://HOST:PORT[,HOST:PORT...]")
    return ",".join(host if re.search(r":\d+$", host) else f"{host}:{DEFAULT_PORT}" for host in named)


def _prefix(prefix: str, url: str) -> str:
    """`staging` gives `staging.`; Kafka's own alphabet for topics."""
    prefix = prefix.rstrip(".")
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,100}", prefix):
        raise ConfigError(
            f"prefix={prefix} can't begin a topic's name", at=url, hint="letters, digits, dot, hyphen, underscore"
        )
    return f"{prefix}." if prefix else ""
