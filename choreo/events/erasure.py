"""Events of which fields were erased: they stand there as ERASED, whatever their type, and the others are as ever."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, create_model

from choreo.events.event import Event
from choreo.events.fields import ERASED


def with_erased(cls: type[Event]) -> Callable[..., Event]:
    """Makes events of `cls` from their fields by wire name, of which some are ERASED: the others are validated.

    Validators of the class as a whole are not asked: they would look for what is gone.
    """

    def made(fields: Mapping[str, Any], **options: Any) -> Event:
        wire = {name: info.alias or name for name, info in cls.model_fields.items()}
        gone = frozenset(name for name in wire if fields.get(wire[name]) is ERASED)
        rest = {name: value for name, value in fields.items() if value is not ERASED}
        kept = _without(cls, gone).model_validate(rest, **options)
        values: dict[str, Any] = {**dict(kept), **dict.fromkeys(gone, ERASED)}
        return cls.model_construct(None, **values)

    return made


@lru_cache(maxsize=256)
def _without(cls: type[Event], gone: frozenset[str]) -> type[BaseModel]:
    fields: Any = {name: (info.annotation, info) for name, info in cls.model_fields.items() if name not in gone}
    return create_model(cls.__name__, __config__=cls.model_config, **fields)
