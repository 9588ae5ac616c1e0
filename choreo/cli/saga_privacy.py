"""What of an instance may be shown: values of fields that are personal in the events that they came from are masked."""

from collections.abc import Iterable, Mapping
from typing import Any

from choreo.errors import ChoreoError
from choreo.events.avro import shape_of
from choreo.events.event import Event
from choreo.events.registry import Registry
from choreo.saga.instance import Instance
from choreo.saga.isolation import lock_field
from choreo.saga.items import whole_in
from choreo.saga.rules import Spec
from choreo.telemetry.privacy import MARK, MASK, masked_as, personal_fields


class EventSchemas:
    """Schemas of events by their full names: of the class where it is loaded, else all that the registry has."""

    def __init__(self, registry: Registry | None, catalogue: Mapping[str, type[Event]]) -> None:
        self._registry, self._catalogue = registry, catalogue
        self._found: dict[str, list[Any]] = {}

    def of(self, event: str) -> list[Any]:
        """Nothing where it is known nowhere."""
        if event not in self._found:
            cls = self._catalogue.get(event)
            self._found[event] = [_by_name(cls)] if cls is not None else self._registered(event)
        return self._found[event]

    def _registered(self, event: str) -> list[Any]:
        if self._registry is None:
            return []
        try:
            ids = [number for number, name in self._registry.ids().items() if name.endswith(event)]
            return [self._registry.schema(number) for number in ids]
        except ChoreoError:  # a registry that is away says nothing about what stands in a store
            return []


def _by_name(cls: type[Event]) -> Any:
    """The schema of a class, its fields called as in Python: so an instance has them."""
    try:
        avro: Any = shape_of(cls).avro
        fields = [field | {"name": name} for name, field in zip(cls.model_fields, avro["fields"], strict=True)]
    except ChoreoError:  # of another wire than Avro: only its own fields are known
        marks = personal_fields(cls)
        avro, fields = {"type": "record", "name": cls.__name__}, []
        for name in cls.model_fields:
            fields.append({"name": name, "type": "null"} | ({MARK: True} if name in marks else {}))
    return avro | {"fields": fields}


def shown_fields(schemas: EventSchemas, events: Iterable[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Values that came from one of these events; what none of them is known to have is masked."""
    found = [schema for event in events for schema in schemas.of(event)]
    shown = dict(fields)
    for schema in found:
        shown = dict(masked_as(schema, shown))
    known = {field["name"] for schema in found for field in schema["fields"]}
    return {name: value if name in known else MASK for name, value in shown.items()}


def has_personal_key(spec: Spec, schemas: EventSchemas) -> bool:
    """Whether the field of its start event that is the saga's key is marked."""
    return _is_marked(spec.correlate_by.get(spec.starts_on), spec, schemas)


def has_personal_lock(spec: Spec, schemas: EventSchemas) -> bool:
    """Whether the field of its start event that names its lock is marked."""
    return _is_marked(lock_field(spec), spec, schemas)


def _is_marked(field: str | None, spec: Spec, schemas: EventSchemas) -> bool:
    fields = [one for schema in schemas.of(spec.starts_on) for one in schema["fields"]]
    return any(one["name"] == field and one.get(MARK) for one in fields)


def shown_instance(instance: Instance, spec: Spec | None, schemas: EventSchemas) -> Instance:
    """An instance for people to look at. Where its spec can't be read, nobody knows what of it is personal."""
    remembered = shown_fields(schemas, [spec.starts_on] if spec else [], instance.remembered)
    steps = {}
    for name, record in instance.steps.items():
        events = {record.by, *(spec.by_name[whole_in(name)].completes_on if spec else ())}
        steps[name] = record.model_copy(update={"fields": shown_fields(schemas, sorted(events), record.fields)})
    held = tuple(
        one.model_copy(update={"fields": shown_fields(schemas, [one.event], one.fields)}) for one in instance.held
    )
    shown: dict[str, Any] = {"remembered": remembered, "steps": steps, "held": held}
    if spec is not None and has_personal_key(spec, schemas):
        shown["key"] = MASK
    return instance.model_copy(update=shown)
