"""The mapping file of a migration: questions that nobody but a person can answer, and the answers.

YAML: `steps` (old name -> new name, or `drop`), `fields` (`saga.x` or `steps.a.x` -> a value, or `{cel: ...}` over what
the instance remembers) and `events` (full name -> `drop`). What is empty is not answered yet.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from choreo.cli.saga_specs import variables_of
from choreo.config.sections import did_you_mean
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.saga.conditions import Answer, BadExpression, Language
from choreo.saga.draft import Draft
from choreo.saga.instance import Instance
from choreo.saga.migration import Answers, Question
from choreo.saga.rules import Spec

DROP = "drop"
KEYS = ("steps", "fields", "events")
SAYS = {
    "steps": "a step of version {to}, or drop: it goes on without, and does not undo it",
    "fields": 'a value, or {{cel: "saga.x + 1"}} over what the saga remembers',
    "events": "drop: it need not be told, or untold",
}


@dataclass(frozen=True)
class MappingFile:
    """What a mapping file says, whether answered or not."""

    told: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {key: {} for key in KEYS})

    def answers(self, to: Spec) -> Answers:
        """The answers about steps and events. Raises ConfigError for a step that there is not."""
        steps: dict[str, str | None] = {}
        for old, new in self._answered("steps").items():
            if new != DROP and new not in to.by_name:
                cure = did_you_mean(str(new), to.by_name) or f"the steps are {', '.join(to.by_name)}"
                raise ConfigError(f"steps: {old}: version {to.version} has no step {new}", hint=cure)
            steps[old] = None if new == DROP else new
        for event, said in self._answered("events").items():
            if said != DROP:
                raise ConfigError(f"events: {event}: {said} is no answer", hint=DROP)
        return Answers(steps, frozenset(self._answered("events")))

    def values(self, instance: Instance, specs: tuple[Spec, Spec], events: Mapping[str, type[Event]]) -> dict[str, Any]:
        """The answers about fields for one instance, as JSON has them, those that have a value. Raises ConfigError.

        `specs` are the one that it follows and the one that it is to follow, `events` the classes by full name.
        """
        follows, to = specs
        found = {}
        for name, said in self._answered("fields").items():
            if not isinstance(said, dict):
                found[name] = _fitting(name, said, to, events)
            elif (answer := _computed(name, str(said.get("cel")), instance, follows, events)).problem is None:
                found[name] = _fitting(name, answer.value, to, events)
        return found

    def with_questions(self, questions: Iterable[Question]) -> "MappingFile":
        """This file, with the questions that it does not have yet."""
        told = {key: dict(self.told[key]) for key in KEYS}
        for question in questions:
            told[question.about].setdefault(question.name, None)
        return MappingFile(told)

    def text(self, to: Spec, questions: Iterable[Question]) -> str:
        """As a file, with what is asked above each open question."""
        why: dict[tuple[str, str], str] = {(one.about, one.name): one.why for one in questions}
        lines = [
            f"# What becomes of sagas {to.name} under way in version {to.version}; what is empty is to be filled in."
        ]
        for key in KEYS:
            if not self.told[key]:
                continue
            lines.append(f"{key}:  # {SAYS[key].format(to=to.version)}")
            for name, said in self.told[key].items():
                if (key, name) in why:
                    lines.append(f"  # {why[key, name]}{_likely(key, name, to)}")
                lines.append(f"  {name}:{'' if said is None else ' ' + _yaml(said)}")
        return "\n".join(lines) + "\n"

    def _answered(self, key: str) -> dict[str, Any]:
        return {name: said for name, said in self.told[key].items() if said is not None}


def read_mapping(path: Path) -> MappingFile:
    """The mapping in a file. Raises ConfigError."""
    try:
        told = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", hint="without --mapping one is written") from None
    except YAMLError as error:
        raise ConfigError(f"{path} is not YAML", why=str(error)) from None
    if not isinstance(told, dict) or any(not isinstance(said, dict | None) for said in told.values()):
        raise ConfigError(f"{path} is no mapping", hint=f"a table with {', '.join(KEYS)}")
    for key in told:
        if key not in KEYS:
            raise ConfigError(f"{path}: {key} is no part of a mapping", hint=did_you_mean(str(key), KEYS))
    return MappingFile({key: {str(name): said for name, said in (told.get(key) or {}).items()} for key in KEYS})


def _computed(name: str, text: str, instance: Instance, spec: Spec, events: Mapping[str, type[Event]]) -> Answer:
    try:
        expression = Language(variables_of(spec, events)).compile(text)
    except BadExpression as error:
        raise ConfigError(f"fields: {name}: {text}: {error}", hint="saga.FIELD, steps.NAME.FIELD") from None
    return expression.evaluate(Draft(spec, instance, 0).values(expression.reads))


def _fitting(name: str, value: Any, to: Spec, events: Mapping[str, type[Event]]) -> Any:
    """The value as the event that should have had it would have it, as JSON. Raises ConfigError."""
    head, _, rest = name.partition(".")
    step, _, inner = rest.partition(".")
    owners: tuple[str, ...]
    if head == "saga" and rest in to.remembers:
        owners, wanted = (to.starts_on,), rest
    elif head == "steps" and step in to.by_name and inner in to.by_name[step].keeps:
        owners, wanted = to.by_name[step].completes_on, inner
    else:
        raise ConfigError(f"fields: version {to.version} remembers no {name}", hint="saga.FIELD, steps.NAME.FIELD")
    fields = [events[owner].model_fields[wanted] for owner in owners if wanted in events[owner].model_fields]
    for one in fields[:1]:
        annotation: Any = one.annotation
        kind: TypeAdapter[Any] = TypeAdapter(annotation)
        try:
            return kind.dump_python(kind.validate_python(value), mode="json")
        except ValidationError as error:
            raise ConfigError(f"fields: {name}: {value!r}: {error.errors()[0]['msg']}") from None
    return value


def _likely(key: str, name: str, to: Spec) -> str:
    """Which step it may have become: nothing but a proposal."""
    near = did_you_mean(name, to.by_name) if key == "steps" else None
    return f" ({near})" if near else ""


def _yaml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
