"""The settings of a service as its own pydantic model, from [settings.SERVICE] and SERVICE_FIELD."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from choreo.config.sections import Config, did_you_mean
from choreo.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")


def service_settings(config: Config, service: str, model: type[Model], environment: Mapping[str, str]) -> Model:
    """SERVICE_FIELD, or the text of the file that SERVICE_FIELD_FILE names, over [settings.SERVICE], over defaults.

    Raises ConfigError that names each field that is missing or does not fit, and never shows a value.
    """
    from pydantic import ValidationError  # half a second: only for those who have settings

    given = dict(config.settings.get(service, {}))
    places = {key: config.origin(f"settings.{service}.{key}") for key in given}
    for key in given:
        if key not in model.model_fields:
            raise ConfigError(
                f"[settings.{service}] {key} is not a setting of {model.__name__}",
                at=places[key],
                hint=did_you_mean(key, model.model_fields),
            )
    for key in model.model_fields:
        found = _from_environment(_variable(service, key), environment)
        if found is not None:
            given[key], places[key] = found
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = [(str(fault["loc"][0]) if fault["loc"] else model.__name__, fault["msg"]) for fault in error.errors()]
    raise ConfigError(
        f"settings of {service}: " + "; ".join(f"{key}: {what}" for key, what in faults),
        at=", ".join(sorted({places[key] for key, _ in faults if key in places})) or None,
        hint=f"set {', '.join(_variable(service, key) for key, _ in faults)}, or the field in [settings.{service}]",
    )


def _variable(service: str, key: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", f"{service}_{key}".upper())


def _from_environment(name: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The value of NAME, or the text of the file that NAME_FILE names, and which of the two it was."""
    by_file = f"{name}_FILE"
    if name in environment and by_file in environment:
        raise ConfigError(f"{name} and {by_file} are both set", hint="keep one of them")
    if name in environment:
        return environment[name], name
    if by_file not in environment:
        return None
    path = Path(environment[by_file])
    try:
        return path.read_text(encoding="utf-8").strip(), by_file
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{by_file}: {path} can't be read", why=str(error), hint="check the path and its rights"
        ) from None
