"""What each source says: the file, its profile, the environment and the command line, as raw values by name."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from choreo.config.sections import MULTIPLE, SECTIONS, SINGLE, did_you_mean
from choreo.errors import ConfigError

FILE_NAME = "choreo.toml"
PREFIX = "CHOREO_"


class Name(NamedTuple):
    """Section, the middle name in a section of sections (a topic, a downstream, a service; else empty), key."""

    section: str
    middle: str
    key: str

    def __str__(self) -> str:
        return ".".join(part for part in self if part)


@dataclass(frozen=True)
class Layer:
    """What one source says, and where it says it."""

    values: Mapping[Name, object]
    origins: Mapping[Name, str]
    is_text: bool = field(default=False)
    """Values are texts still to be read as numbers and lists: environment and command line."""


def find_file(start: Path) -> Path | None:
    """The nearest choreo.toml, or pyproject.toml with [tool.choreo], in `start` or above it."""
    for directory in (start.absolute(), *start.absolute().parents):
        own, shared = directory / FILE_NAME, directory / "pyproject.toml"
        if own.is_file():
            return own
        if shared.is_file() and "[tool.choreo" in shared.read_text(encoding="utf-8"):
            return shared
    return None


def file_layers(file: Path, profile: str) -> list[Layer]:
    """The file itself, then its profile. Raises ConfigError with file:line."""
    try:
        text = file.read_text(encoding="utf-8")
        tables: Any = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name} can't be read", at=file, why=str(error)) from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ConfigError(f"{file.name} is not valid TOML: {error}", at=f"{file}:{line[1] if line else 1}") from None
    root: tuple[str, ...] = ()
    if file.name == "pyproject.toml":
        root, tables = ("tool", "choreo"), tables.get("tool", {}).get("choreo", {})
    places = _Places(file.name, _line_numbers(text), root)
    profiles = tables.pop("profile", {})
    layers = [_layer(tables, places)]
    if profile:
        if profile not in profiles:
            raise ConfigError(f"there is no profile {profile}", at=file, hint=did_you_mean(profile, profiles))
        layers.append(_layer(profiles[profile], places.below("profile", profile)))
    return layers


@dataclass(frozen=True)
class _Places:
    """Where keys stand in a file; `root` is what stands before the sections."""

    file: str
    lines: Mapping[tuple[str, ...], int]
    root: tuple[str, ...]

    def below(self, *words: str) -> "_Places":
        return _Places(self.file, self.lines, (*self.root, *words))

    def of(self, path: Sequence[str]) -> str:
        whole = (*self.root, *path)
        line = next((self.lines[whole[:n]] for n in range(len(whole), 0, -1) if whole[:n] in self.lines), None)
        note = f" [{'.'.join(self.root)}]" if "profile" in self.root else ""
        return f"{self.file}:{line}{note}" if line else self.file + note


def _layer(tables: Mapping[str, Any], places: _Places) -> Layer:
    values: dict[Name, object] = {}
    origins: dict[Name, str] = {}
    for section, content in tables.items():
        if section not in SECTIONS:
            raise ConfigError(
                f"[{section}] is not a section", at=places.of([section]), hint=did_you_mean(section, SECTIONS)
            )
        if not isinstance(content, dict):
            raise ConfigError(f"{section} is a section, not a value", at=places.of([section]), hint=f"[{section}]")
        for path, value in _leaves(section, content):
            name = _name(section, path, places)
            values[name], origins[name] = value, places.of([section, *path])
    return Layer(values, origins)


def _leaves(
    section: str, table: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value of a section and its path; a service's own settings may be tables, which stay whole."""
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, dict) and not (section == "settings" and len(path) > 1):
            yield from _leaves(section, value, path)
        else:
            yield path, value


def _name(section: str, path: tuple[str, ...], places: _Places) -> Name:
    if section == "kafka":
        return Name(section, "", ".".join(path))
    name = Name(section, ".".join(path[:-1]), path[-1])
    if section in SINGLE and name.middle:
        raise ConfigError(f"[{section}.{name.middle}] is not a section", at=places.of([section, *path]))
    if section not in SINGLE and not name.middle:
        hint = f"[{section}.{'default' if section == 'topics' else 'NAME'}]"
        raise ConfigError(f"[{section}] {name.key} belongs below a name", at=places.of([section, *path]), hint=hint)
    return name


def _line_numbers(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key and table header, as far as a look at single lines tells."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip()
        if words.startswith("["):
            table = _path(words.lstrip("[").partition("]")[0]) or table
            found.setdefault(table, number)
        elif "=" in words and not words.startswith("#") and (key := _path(words.partition("=")[0])):
            found.setdefault((*table, *key), number)
    return found


def _path(key: str) -> tuple[str, ...]:
    """A dotted TOML key as its parts; empty where it is none."""
    try:
        nested: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts: list[str] = []
    while isinstance(nested, dict):
        part, nested = next(iter(nested.items()))
        parts.append(part)
    return tuple(parts)


def environment_layer(environment: Mapping[str, str], below: Sequence[Layer]) -> Layer:
    """CHOREO_LOG_URL, CHOREO_TOPICS_DEFAULT_PARTITIONS, CHOREO_KAFKA_SASL_PASSWORD. Raises ConfigError."""
    values: dict[Name, object] = {}
    for variable, value in environment.items():
        section, _, rest = variable.removeprefix(PREFIX).lower().partition("_")
        if not variable.startswith(PREFIX) or section not in SECTIONS or not rest:
            continue
        if section == "kafka":
            name = Name(section, "", rest.replace("_", "."))
        elif section == "settings":
            raise ConfigError(f"{variable}: a service's settings go by its own name", hint=f"{rest.upper()}={value}")
        else:
            name = _named(variable, section, rest, {name.middle for layer in below for name in layer.values})
        values[name] = value
    return Layer(values, {name: _spelt(name, environment) for name in values}, is_text=True)


def _spelt(name: Name, environment: Mapping[str, str]) -> str:
    """The variable as the environment spells it."""
    plain = PREFIX + re.sub(r"[^A-Z0-9]", "_", str(name).upper())
    return plain if plain in environment else PREFIX + name.section.upper()


def _named(variable: str, section: str, rest: str, middles: set[str]) -> Name:
    if section in SINGLE:
        return Name(section, "", rest)
    keys = sorted((f.name for f in fields(MULTIPLE[section])), key=len, reverse=True)
    for key in keys:
        if rest.endswith(f"_{key}"):
            middle = rest.removesuffix(f"_{key}")
            spelt = {re.sub(r"[^a-z0-9]", "_", known.lower()): known for known in middles}
            return Name(section, spelt.get(middle, middle), key)
    raise ConfigError(
        f"{variable} is not a setting", hint=f"{PREFIX}{section.upper()}_NAME_KEY; {did_you_mean(rest, keys)}"
    )


def flag_layer(flags: Mapping[str, str], spelling: Mapping[str, str]) -> Layer:
    """What was given on the command line, by `section.key`; `spelling` says which option that was."""
    values = {
        Name(section, "", key): value for name, value in flags.items() for section, _, key in [name.partition(".")]
    }
    return Layer(values, {name: spelling.get(str(name), "command line") for name in values}, is_text=True)


def unknown_variables(environment: Mapping[str, str], known: Sequence[str]) -> list[tuple[str, str]]:
    """Variables that begin with CHOREO_ and set nothing, each with a hint."""
    sections = [f"{PREFIX}{section.upper()}_" for section in SECTIONS]
    strange = [v for v in environment if v.startswith(PREFIX) and v not in known and not v.startswith(tuple(sections))]
    return [
        (variable, did_you_mean(variable, [f"{section}..." for section in sections])) for variable in sorted(strange)
    ]
