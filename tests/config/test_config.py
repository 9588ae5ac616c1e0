"""Settings come from where they were promised to come from, and a wrong one says where it stands."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from choreo.config import Config, Sources, load, service_settings
from choreo.config.layers import unknown_variables
from choreo.errors import ConfigError

SAMPLE = """\
[project]
services = ["services.orders", "services.payments"]
sagas = "saga_specs/*.yaml"

[log]
url = "embedded:.choreo/log"            # a comment

[run]
checkpoint_interval_s = 1
drain_s = 5

[topics.default]
partitions = 6

[topics."shop.orders"]
retention = "forever"

[topics.shop.stock]
partitions = 12

[downstreams.bank]
rate_per_s = 200

[kafka]
security.protocol = "SASL_SSL"
"sasl.password" = "hunter2"
"enable.idempotence" = true

[settings.payments]
gateway_url = "https://sandbox.gateway.example"

[profile.production.log]
url = "kafka://kafka-1:9093,kafka-2:9093?security=mtls"
"""


def config(directory: Path, text: str = SAMPLE, *, environment: dict[str, str] | None = None, **more: Any) -> Config:
    """The settings of a project whose choreo.toml holds this text."""
    (directory / "choreo.toml").write_text(text, encoding="utf-8")
    return load(Sources(directory, environment=environment or {}, **more))


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """A first run needs no configuration: the embedded log, its registry beside it, four partitions."""
    found = load(Sources(tmp_path))
    assert (found.log.url, found.topic("any").partitions, found.origin("log.url")) == (
        "embedded:.choreo/log",
        4,
        "default",
    )
    assert found.registry_url() == "dir:.choreo/log/schemas"
    assert found.state_dir() == Path(".choreo/log/state")


def test_an_archive_without_a_log_brings_its_registry(tmp_path: Path) -> None:
    """The schemas beside an archive are used where there is no log, unless the settings name a registry."""
    text = '[log]\nurl = "memory:"\narchive = "kept"\n'
    assert config(tmp_path, text).registry_url() == "dir:kept/schemas"
    assert config(tmp_path, f'{text}[registry]\nurl = "https://schemas"\n').registry_url() == "https://schemas"


def test_precedence_falls_from_command_line_to_default(tmp_path: Path) -> None:
    """Command line beats environment beats profile beats file beats default, and each value names its origin."""
    seen = []
    steps: list[dict[str, Any]] = [
        {"text": "[run]\nworkers = 1\n"},
        {},
        {"profile": "production"},
        {"environment": {"CHOREO_LOG_URL": "memory:", "CHOREO_PROFILE": "production"}},
        {
            "environment": {"CHOREO_LOG_URL": "memory:"},
            "flags": {"log.url": "kafka://flag"},
            "spelling": {"log.url": "--log"},
        },
    ]
    for step in steps:
        found = config(tmp_path, **step)
        seen.append((found.log.url.split(",")[0], found.origin("log.url")))
    assert seen == [
        ("embedded:.choreo/log", "default"),
        ("embedded:.choreo/log", "choreo.toml:6"),
        ("kafka://kafka-1:9093", "choreo.toml:33 [profile.production]"),
        ("memory:", "CHOREO_LOG_URL"),
        ("kafka://flag", "--log"),
    ]


def test_sections_become_values(tmp_path: Path) -> None:
    """Numbers, lists, topics with dots in their names and librdkafka's own keys are read as they are meant."""
    found = config(tmp_path)
    assert found.project.services == ("services.orders", "services.payments")
    assert found.project.sagas == ("saga_specs/*.yaml",)
    assert (found.run.checkpoint_interval_s, found.run.drain_s) == (1.0, 5.0)
    assert found.topic("shop.orders").partitions == 6  # the default section fills what a topic does not say
    assert found.topic("shop.stock").partitions == 12
    assert found.topic("other").partitions == 6
    assert found.downstreams["bank"].rate_per_s == 200.0
    assert found.kafka == {
        "security.protocol": "SASL_SSL",
        "sasl.password": "hunter2",
        "enable.idempotence": "true",
    }


def test_the_environment_reaches_every_section(tmp_path: Path) -> None:
    """CHOREO_ variables name lists, topics, downstreams and librdkafka keys."""
    found = config(
        tmp_path,
        environment={
            "CHOREO_PROJECT_SERVICES": "a.service, b.service",
            "CHOREO_RUN_CHECKPOINT_INTERVAL_S": "0.5",
            "CHOREO_TOPICS_DEFAULT_PARTITIONS": "7",
            "CHOREO_TOPICS_SHOP_ORDERS_RETENTION": "7d",
            "CHOREO_DOWNSTREAMS_BANK_TIMEOUT_S": "3",
            "CHOREO_KAFKA_SASL_PASSWORD": "other",
            "CHOREO_SOMETHING_ELSE": "is not ours",
        },
    )
    assert found.project.services == ("a.service", "b.service")
    assert found.run.checkpoint_interval_s == 0.5
    assert (found.topic("shop.orders").partitions, found.topic("shop.orders").retention) == (7, "7d")
    assert (found.downstreams["bank"].timeout_s, found.kafka["sasl.password"]) == (3.0, "other")
    assert found.origin("run.checkpoint_interval_s") == "CHOREO_RUN_CHECKPOINT_INTERVAL_S"


@pytest.mark.parametrize(
    ("text", "at", "says", "hint"),
    [
        ("[log]\nurll = 'memory:'\n", "choreo.toml:2", "log.urll is not a setting", "url"),
        ("[lgo]\nurl = 'memory:'\n", "choreo.toml:1", "[lgo] is not a section", "log"),
        ("[run]\nworkers = 'two'\n", "choreo.toml:2", "not a whole number", "default: 1"),
        ("[run]\n\nworkers = 0\n", "choreo.toml:3", "too small", "at least 1"),
        ("[run]\nworkers = true\n", "choreo.toml:2", "not a whole number", "default: 1"),
        ("[project]\nservices = 3\n", "choreo.toml:2", "not a list of texts", "default"),
        ("[topics]\npartitions = 3\n", "choreo.toml:2", "belongs below a name", "topics.default"),
        ("[topics.a]\npartition = 3\n", "choreo.toml:2", "topics.a.partition is not a setting", "partitions"),
        ("[log.deep]\nurl = 'memory:'\n", "choreo.toml:2", "[log.deep] is not a section", ""),
        ("log = 3\n", "choreo.toml:1", "log is a section", "[log]"),
        ("[kafka]\na = [1]\n", "choreo.toml:2", "no librdkafka value", "text"),
        ("[log\n", "choreo.toml:1", "not valid TOML", ""),
    ],
)
def test_a_mistake_says_where_it_stands(tmp_path: Path, text: str, at: str, says: str, hint: str) -> None:
    """A wrong line in choreo.toml is reported with file:line and what to write instead."""
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, text)
    assert at in str(caught.value.at)
    assert says in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"CHOREO_LOG_URLL": "x"}, "log.urll is not a setting"),
        ({"CHOREO_RUN_WORKERS": "many"}, "not a whole number"),
        ({"CHOREO_TOPICS_DEFAULT_SIZE": "1"}, "CHOREO_TOPICS_DEFAULT_SIZE is not a setting"),
        ({"CHOREO_SETTINGS_PAYMENTS_API_KEY": "1"}, "go by its own name"),
        ({"CHOREO_PROFILE": "prod"}, "there is no profile prod"),
    ],
)
def test_a_mistake_in_the_environment_is_named(tmp_path: Path, environment: dict[str, str], says: str) -> None:
    """A variable that can't be meant is an error, not silence."""
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, environment=environment)
    assert says in caught.value.message


def test_variables_that_set_nothing_are_noticed() -> None:
    """CHOREO_LGO_URL is found by whoever asks; known variables of other parts are not."""
    strange = unknown_variables(
        {"CHOREO_LGO_URL": "x", "CHOREO_PROFILE": "p", "CHOREO_LOG_URL": "y"}, ("CHOREO_PROFILE",)
    )
    assert [variable for variable, _ in strange] == ["CHOREO_LGO_URL"]


def test_pyproject_may_hold_the_settings(tmp_path: Path) -> None:
    """[tool.choreo] in pyproject.toml is as good as choreo.toml, found from a directory below as well."""
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n[tool.choreo.log]\nurl = 'dir-less:x'\n", encoding="utf-8"
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = load(Sources(below))
    assert (found.log.url, found.origin("log.url"), found.directory) == ("dir-less:x", "pyproject.toml:4", tmp_path)


def test_relative_paths_begin_where_they_were_said(tmp_path: Path) -> None:
    """A path in choreo.toml is the project's; one in the environment belongs to the directory of the command."""
    below = tmp_path / "deep"
    below.mkdir()
    text = "[log]\nurl = 'embedded:x?sync=commit'\n[run]\nstate_dir = 'state'\n"
    (tmp_path / "choreo.toml").write_text(text, encoding="utf-8")
    assert load(Sources(below)).log.url == f"embedded:{tmp_path}/x?sync=commit"
    assert load(Sources(below)).run.state_dir == f"{tmp_path}/state"
    assert load(Sources(below)).state_dir() == tmp_path / "state"
    assert load(Sources(below, environment={"CHOREO_LOG_URL": "embedded:y"})).log.url == "embedded:y"


def test_secrets_are_masked(tmp_path: Path) -> None:
    """What is printed never holds a password, token or key, nor the user part of a URL."""
    found = config(tmp_path, environment={"CHOREO_LOG_URL": "kafka://joe:pw@host:9092?sasl.password=s3cret&prefix=p"})
    shown = {setting.name: setting.shown for setting in found.values}
    assert shown["kafka.sasl.password"] == "********"
    assert shown["log.url"] == "kafka://********@host:9092?sasl.password=********&prefix=p"
    assert "hunter2" not in str(shown)


class PaymentSettings(BaseModel):
    """What the payments service of these tests wants to know."""

    gateway_url: str = "https://default.example"
    api_key: SecretStr
    attempts: int = 3


def test_a_service_gets_its_own_settings(tmp_path: Path) -> None:
    """[settings.payments], PAYMENTS_FIELD and PAYMENTS_FIELD_FILE meet in the service's model."""
    secret = tmp_path / "key"
    secret.write_text("k3y\n", encoding="utf-8")
    environment = {"PAYMENTS_ATTEMPTS": "5", "PAYMENTS_API_KEY_FILE": str(secret)}
    found = service_settings(config(tmp_path), "payments", PaymentSettings, environment)
    assert (found.gateway_url, found.attempts) == ("https://sandbox.gateway.example", 5)
    assert found.api_key.get_secret_value() == "k3y"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "api_key: Field required"),
        ({"PAYMENTS_API_KEY": "k", "PAYMENTS_ATTEMPTS": "s3cret"}, "attempts"),
        ({"PAYMENTS_API_KEY": "k", "PAYMENTS_API_KEY_FILE": "f"}, "both set"),
        ({"PAYMENTS_API_KEY_FILE": "no/such/file"}, "can't be read"),
    ],
)
def test_a_service_without_its_settings_says_so(tmp_path: Path, environment: dict[str, str], says: str) -> None:
    """Missing and unfit settings are named, with the variable to set, and no value is shown."""
    with pytest.raises(ConfigError) as caught:
        service_settings(config(tmp_path), "payments", PaymentSettings, environment)
    assert says in caught.value.message
    assert "s3cret" not in str(caught.value)


def test_a_misspelt_service_setting_is_named(tmp_path: Path) -> None:
    """An unknown key in [settings.payments] is an error with its line."""
    found = config(tmp_path, "[settings.payments]\ngateway_ulr = 'x'\n")
    with pytest.raises(ConfigError) as caught:
        service_settings(found, "payments", PaymentSettings, {})
    assert (caught.value.at, caught.value.hint) == ("choreo.toml:2", "did you mean gateway_url?")
