"""The JSON Schema of choreo.toml: what an editor says while it is written is what the reader says afterwards."""

import tomllib
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, SecretStr

from choreo.config import Sources, load
from choreo.config.schema import config_schema
from choreo.config.sections import MULTIPLE, SECTIONS, SINGLE
from choreo.errors import ConfigError
from tests.config.test_config import SAMPLE

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(config_schema())
KEYS = [
    *(f"{section}.{key.name}" for section, kind in SINGLE.items() for key in fields(kind)),
    *(f"{section}.{name}.{key.name}" for section, kind in MULTIPLE.items() for name in "ab" for key in fields(kind)),
    *("topics.default.partitions", "topics.a.b.partitions", "topics.a.b.c.partitons", "topics.partitions"),
    *("kafka.linger.ms", "kafka.security.protocol", "kafka.x", "settings.payments.url", "settings.url"),
    *("run.wokers", "topics.a.partitons", "lgo.url", "log.a.url", "log", "run", "topics", "kafka", "settings"),
    *("profile.p.log.url", "profile.p.run.workers", "profile.p.run.wokers", "profile.p.lgo.url"),
    *("profile.p.topics.a.partitions", "profile.p.topics.a.b.retention", "profile.p.settings.a.b"),
]
VALUES = ['"text"', '""', "0", "1", "-1", "7", "0.5", "1.5", "true", "false", "[]", '["a", "b"]', "[1]", "{x = 1}"]
"""Neither 1.0, a whole number to JSON Schema, nor {}, in which the reader finds nothing to fit."""


def refusals(text: str, validator: Draft202012Validator = VALIDATOR) -> list[str]:
    """What an editor would underline."""
    return [error.message for error in validator.iter_errors(tomllib.loads(text))]


def test_the_schema_is_one() -> None:
    """It is valid JSON Schema, draft 2020-12, says so, and has every section."""
    Draft202012Validator.check_schema(config_schema())
    assert config_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(SECTIONS) | {"profile"} == set(config_schema()["properties"])


def test_configurations_of_the_project_fit() -> None:
    """Nothing is underlined in the sample of the other tests and in Choreo's own settings."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["choreo"]
    assert list(VALIDATOR.iter_errors(own)) == []
    assert refusals(SAMPLE) == []


def test_editor_and_reader_agree(tmp_path: Path) -> None:
    """Whatever value stands at whatever key, known or not: the schema refuses it just where the reader does."""
    apart = []
    for key, value in product(KEYS, VALUES):
        text = f"{key} = {value}\n"
        (tmp_path / "choreo.toml").write_text(text, encoding="utf-8")
        try:
            load(Sources(tmp_path, profile="p" if key.startswith("profile") else None))
            fits = True
        except ConfigError:
            fits = False
        if (refusals(text) == []) is not fits:
            apart.append(text)
    assert apart == []


class Retries(BaseModel):
    attempts: int = 3


class PaymentSettings(BaseModel):
    """What payments need."""

    gateway_url: str
    token: SecretStr
    limit: int = Field(default=5, alias="maximum")
    retries: Retries = Retries()


def test_a_services_own_settings_are_known() -> None:
    """Fields of its model are offered by the names that the reader takes; a misspelt one and a wrong type are refused;
    none must be there, since a variable may give it.
    """
    validator = Draft202012Validator(config_schema({"payments": PaymentSettings}))
    Draft202012Validator.check_schema(config_schema({"payments": PaymentSettings}))
    for text, fits in (
        ("[settings.payments]\ngateway_url = 'https://x'\nlimit = 3\nretries = {attempts = 4}\n", True),
        ("[settings.payments]\n", True),
        ("[settings.payments]\ngateway_ulr = 'https://x'\n", False),
        ("[settings.payments]\nlimit = 'many'\n", False),
        ("[settings.payments]\nretries = {attempts = 'many'}\n", False),
        ("[settings.others]\nanything = 1\n", True),
        ("[profile.production.settings.payments]\nlimit = 'many'\n", False),
    ):
        assert (refusals(text, validator) == []) is fits, text


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_explained(section: str) -> None:
    """An editor shows a sentence on each section, and the default of each key."""
    schema: dict[str, Any] = config_schema()
    assert schema["properties"][section]["description"].endswith((".", ",...", "..."))
    keys = schema["$defs"][section].get("properties", {}) if section in SINGLE else {}
    assert all("default" in key for key in keys.values())
