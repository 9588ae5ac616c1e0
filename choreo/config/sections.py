"""What can be set: the sections with their defaults, and all of them together as one frozen value."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

SECRET_WORDS = {"password", "passwd", "secret", "token", "key", "credentials"}
_USER_IN_URL = re.compile(r"//[^/@?]*@")
_SECRET_IN_URL = re.compile(r"(?i)((?:password|secret|token|key)=)[^&]*")
MASK = "********"


def at_least(bound: float, default: Any) -> Any:
    """A dataclass field that refuses anything below `bound`."""
    return field(default=default, metadata={"at_least": bound})


def one_of(default: str, *others: str) -> Any:
    """A dataclass field that takes `default` or one of the others."""
    return field(default=default, metadata={"one_of": (default, *others)})


@dataclass(frozen=True)
class ProjectSection:
    """What the project consists of: modules or files of services, globs of saga specs, the contracts' directory.

    `outside` are events, by full name, that others emit or take: `choreo check` looks for no partner of theirs.
    """

    services: tuple[str, ...] = ()
    sagas: tuple[str, ...] = ("saga_specs/*.yaml",)
    schemas: str = "schemas"
    outside: tuple[str, ...] = ()


@dataclass(frozen=True)
class LogSection:
    """Which log: memory:, embedded:DIR or kafka://HOST:PORT,... `archive`: the directory of what retention has taken
    from it, which is read with it.
    """

    url: str = "embedded:.choreo/log"
    archive: str = ""


@dataclass(frozen=True)
class RegistrySection:
    """Which schema registry; no `url`: beside the embedded log, for Kafka the project's schemas directory.

    All but `subjects` (record, topic-record or topic) is for a registry over HTTP: `auto_register` lets a program that
    runs register what is missing (development; a registry in a directory or in memory always does); certificates and
    keys are PEM files; secrets come as CHOREO_REGISTRY_PASSWORD, _TOKEN and _CLIENT_PASSWORD.
    """

    url: str = ""
    subjects: str = "record"
    auto_register: bool = False
    user: str = ""
    password: str = ""
    token: str = ""
    ca: str = ""
    client_certificate: str = ""
    client_key: str = ""
    client_password: str = ""
    timeout_s: float = at_least(0.1, 10.0)
    attempts: int = at_least(1, 4)


@dataclass(frozen=True)
class RunSection:
    """How workers run. An empty `state_dir` follows the log.

    `start_from` is earliest, latest or an ISO time: where a group begins that has committed nothing. `call_threads`
    are for calls that block; 0 is four a processor, 32 at most. Every `snapshot_every_inputs` inputs a task's store is
    kept as it is, for replays to start from; 0 is never.
    """

    workers: int = at_least(1, 1)
    state_dir: str = ""
    start_from: str = ""
    checkpoint_interval_s: float = at_least(0.001, 0.25)
    drain_s: float = at_least(0, 20.0)
    session_timeout_s: float = at_least(1, 45.0)
    call_threads: int = at_least(0, 0)
    snapshot_every_inputs: int = at_least(0, 10_000)


@dataclass(frozen=True)
class LoggingSection:
    """What a run writes to stderr: `format` console or json (one object a line), from which `level` on."""

    format: str = one_of("console", "json")
    level: str = one_of("info", "debug", "warning", "error")


@dataclass(frozen=True)
class HealthSection:
    """Probes and status over HTTP: `listen` is PORT (this machine only) or HOST:PORT; empty: nobody listens.

    A process is not live any more when one of its workers has made no step for `stalled_s`.
    """

    listen: str = ""
    stalled_s: float = at_least(1, 60.0)


@dataclass(frozen=True)
class TopicSection:
    """How a topic is made; replication 0 means min(3, brokers), retention is `forever` or a duration such as 7d."""

    partitions: int = at_least(1, 4)
    replication: int = at_least(0, 0)
    retention: str = "forever"


@dataclass(frozen=True)
class DownstreamSection:
    """What operators turn without a release; 0 leaves it as the code says.

    Limits hold for one service in one process: with four workers, a rate of 50 is one of 200.
    """

    timeout_s: float = at_least(0, 0.0)
    concurrency: int = at_least(0, 0)
    rate_per_s: float = at_least(0, 0.0)
    breaker_failures: int = at_least(0, 0)
    breaker_within_s: float = at_least(0, 0.0)
    breaker_open_s: float = at_least(0, 0.0)


SINGLE: Mapping[str, type] = {
    "project": ProjectSection,
    "log": LogSection,
    "registry": RegistrySection,
    "run": RunSection,
    "logging": LoggingSection,
    "health": HealthSection,
}
"""Sections with a fixed set of keys."""
MULTIPLE: Mapping[str, type] = {"topics": TopicSection, "downstreams": DownstreamSection}
"""Sections of named sections: [topics.default], [downstreams.bank]."""
FREE = ("kafka", "settings")
"""Sections whose keys are somebody else's: librdkafka's, a service's."""
SECTIONS = (*SINGLE, *MULTIPLE, *FREE)


class Setting(NamedTuple):
    """One value and where it came from: a file and line, a variable, a flag, or `default`."""

    name: str
    value: object
    origin: str

    @property
    def shown(self) -> object:
        """The value as it may be printed: secrets masked, those inside URLs too."""
        if SECRET_WORDS & set(re.split(r"[^a-z0-9]+", self.name.lower())) and self.value not in ("", None):
            return MASK
        if isinstance(self.value, str):
            return _SECRET_IN_URL.sub(rf"\1{MASK}", _USER_IN_URL.sub(f"//{MASK}@", self.value))
        return self.value


@dataclass(frozen=True)
class Config:
    """All settings of one start. `directory` is where the file lies: relative paths in it begin there."""

    directory: Path
    file: Path | None
    profile: str
    project: ProjectSection
    log: LogSection
    registry: RegistrySection
    run: RunSection
    logging: LoggingSection
    health: HealthSection
    topics: Mapping[str, TopicSection]
    downstreams: Mapping[str, DownstreamSection]
    kafka: Mapping[str, str]
    settings: Mapping[str, Mapping[str, object]]
    values: tuple[Setting, ...]

    def topic(self, name: str) -> TopicSection:
        """How this topic is to be made: its own section, else that of `default`."""
        return self.topics.get(name, self.topics["default"])

    def path(self, relative: str) -> Path:
        """A path of the project."""
        return self.directory / relative

    def registry_url(self) -> str:
        """The registry's URL; where none is set the log has it beside it, else an archive that is read alone."""
        scheme, _, rest = self.log.url.partition(":")
        if self.registry.url:
            return self.registry.url
        if scheme == "memory":
            return f"dir:{Path(self.log.archive) / 'schemas'}" if self.log.archive else "memory:"
        if scheme == "embedded":
            return f"dir:{Path(rest.partition('?')[0]) / 'schemas'}"
        return f"dir:{self.path(self.project.schemas)}"

    def state_dir(self) -> Path:
        """Where the stores lie; where nothing is set, inside an embedded log's directory: they go and come together."""
        scheme, _, rest = self.log.url.partition(":")
        if self.run.state_dir:
            return Path(self.run.state_dir)
        return Path(rest.partition("?")[0]) / "state" if scheme == "embedded" else self.path(".choreo/state")

    def origin(self, name: str) -> str:
        """Where the value of this name, such as `log.url`, came from."""
        return next((setting.origin for setting in self.values if setting.name == name), "default")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the nearest known word, else all of them."""
    choices = sorted(known)
    near = get_close_matches(word, choices, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(choices) or 'none'}"
