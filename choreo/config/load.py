"""Reads every source once, lays them over each other and fits each value to its section."""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from choreo.config.layers import FILE_NAME, Layer, Name, environment_layer, file_layers, find_file, flag_layer
from choreo.config.sections import MULTIPLE, SINGLE, Config, Setting, did_you_mean
from choreo.errors import ConfigError

TRUE, FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
WITH_PATH = {
    "log.url",
    "log.archive",
    "registry.url",
    "registry.ca",
    "registry.client_certificate",
    "registry.client_key",
    "run.state_dir",
}
"""Values that hold a path: one in a file begins at the file, one in the environment where the command runs."""
WORDS = ((int, "a whole number"), (float, "a number"), (bool, "true or false"), (str, "text"))
PATH_SCHEMES = ("embedded:", "dir:")


@dataclass(frozen=True)
class Sources:
    """Where settings come from. `flags`: the command line by `section.key`; `spelling`: how its options are written."""

    start: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    spelling: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    profile: str | None = None


class _Said(NamedTuple):
    """One raw value, where it was said, whether it is a text still to be read, and where its relative paths begin."""

    value: object
    origin: str
    is_text: bool
    directory: Path


def load(sources: Sources) -> Config:
    """All settings. Raises ConfigError with the place of the first value that does not fit."""
    file = sources.file or find_file(sources.start)
    if file is not None and not file.is_file():
        raise ConfigError(f"{file} does not exist", hint=f"--config FILE names a {FILE_NAME}; leave it out for none")
    start = sources.start.absolute()
    directory = file.absolute().parent if file else start
    profile = sources.profile or sources.environment.get("CHOREO_PROFILE", "")
    if file is None and profile:
        raise ConfigError(f"there is no profile {profile}", at=start, why=f"there is no {FILE_NAME} here or above")
    below = file_layers(file, profile) if file else []
    above = [environment_layer(sources.environment, below), flag_layer(sources.flags, sources.spelling)]
    said: dict[Name, _Said] = {}
    for layer in below:
        said |= _placed(layer, directory)
    for layer in above:
        said |= _placed(layer, start)
    return _Fitting(said, start, directory).config(file, profile)


def _placed(layer: Layer, directory: Path) -> dict[Name, _Said]:
    return {name: _Said(value, layer.origins[name], layer.is_text, directory) for name, value in layer.values.items()}


class _Fitting:
    """Turns what was said into sections, and notes every value with its origin."""

    def __init__(self, said: Mapping[Name, _Said], start: Path, directory: Path) -> None:
        self._said, self._start, self._directory = said, start, directory
        self._values: list[Setting] = []

    def config(self, file: Path | None, profile: str) -> Config:
        single = {section: self._section(kind, section, "") for section, kind in SINGLE.items()}
        multiple = {section: self._sections(kind, section) for section, kind in MULTIPLE.items()}
        kafka: dict[str, str] = {}
        settings: dict[str, dict[str, object]] = {}
        for name, said in self._said.items():
            if name.section == "kafka":
                kafka[name.key] = _librdkafka_text(name, said)
                self._note(name, kafka[name.key], said.origin)
            elif name.section == "settings":
                settings.setdefault(name.middle, {})[name.key] = said.value
                self._note(name, said.value, said.origin)
        parts: dict[str, Any] = single | multiple
        return Config(
            self._directory, file, profile, kafka=kafka, settings=settings, values=tuple(self._values), **parts
        )

    def _note(self, name: Name, value: object, origin: str) -> None:
        self._values.append(Setting(str(name), value, origin))

    def _sections(self, kind: type, section: str) -> Mapping[str, object]:
        always = {"default"} if section == "topics" else set()
        middles = sorted(always | {name.middle for name in self._said if name.section == section})
        return MappingProxyType({middle: self._section(kind, section, middle) for middle in middles})

    def _section(self, kind: type, section: str, middle: str) -> object:
        known = {f.name: f for f in fields(kind)}
        for name, said in self._said.items():
            if (name.section, name.middle) == (section, middle) and name.key not in known:
                raise ConfigError(f"{name} is not a setting", at=said.origin, hint=did_you_mean(name.key, known))
        found: dict[str, object] = {}
        for key, declared in known.items():
            name = Name(section, middle, key)
            meant = self._said.get(name) or (self._said.get(name._replace(middle="default")) if middle else None)
            found[key] = self._value(name, declared, meant)
            self._note(name, found[key], meant.origin if meant else "default")
        return kind(**found)

    def _value(self, name: Name, declared: Field[Any], said: _Said | None) -> object:
        value = declared.default if said is None else _fitted(name, declared, said)
        if str(name) not in WITH_PATH:
            return value
        return _anchored(str(value), self._directory if said is None else said.directory, self._start)


def _fitted(name: Name, declared: Field[Any], said: _Said) -> object:
    """The value as its field wants it. Raises ConfigError."""
    wanted, value = declared.type, said.value
    if said.is_text:
        value = _read(str(value), wanted)
    if wanted == tuple[str, ...] and isinstance(value, str | list):
        value = (value,) if isinstance(value, str) else tuple(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    is_list = isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    fits = is_list if wanted == tuple[str, ...] else type(value) is wanted
    if not fits:
        word = next((word for kind, word in WORDS if kind is wanted), "a list of texts")
        raise ConfigError(
            f"{name} = {said.value!r} is not {word}", at=said.origin, hint=f"default: {declared.default!r}"
        )
    least = declared.metadata.get("at_least")
    if least is not None and isinstance(value, int | float) and value < least:
        raise ConfigError(f"{name} = {value} is too small", at=said.origin, hint=f"at least {least}")
    choices = declared.metadata.get("one_of")
    if choices is not None and value not in choices:
        raise ConfigError(f"{name} = {value!r} is none of {', '.join(choices)}", at=said.origin)
    return value


def _read(text: str, wanted: object) -> object:
    """A text as a value of the wanted type; the text itself where it can't be read."""
    if wanted == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if wanted is bool:
        return True if text.lower() in TRUE else False if text.lower() in FALSE else text
    if wanted in (int, float):
        try:
            return int(text) if wanted is int else float(text)
        except ValueError:
            return text
    return text


def _anchored(value: str, directory: Path, start: Path) -> str:
    """A relative path inside a value, made to begin where it was said."""
    scheme = next((scheme for scheme in PATH_SCHEMES if value.startswith(scheme)), "")
    if not value or (not scheme and ":" in value.partition("/")[0]):
        return value
    path, mark, query = value.removeprefix(scheme).partition("?")
    if directory == start or os.path.isabs(path):
        return value
    return f"{scheme}{directory / path}{mark}{query}"


def _librdkafka_text(name: Name, said: _Said) -> str:
    """librdkafka takes texts; TOML's booleans and numbers are written as it spells them."""
    if isinstance(said.value, bool):
        return str(said.value).lower()
    if isinstance(said.value, str | int | float):
        return str(said.value)
    raise ConfigError(f"{name}: {said.value!r} is no librdkafka value", at=said.origin, hint="text, number or boolean")
