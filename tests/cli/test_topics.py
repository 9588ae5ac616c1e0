"""`choreo topics` and `choreo services`: what there is, what is missing, making it."""

import json
from pathlib import Path

from tests.cli.conftest import Choreo

SETTINGS = """\
[project]
services = ["shop"]
sagas = "order.yaml"

[topics.default]
partitions = 3
replication = 2
retention = "7d"
"""


def configured(project: Path) -> None:
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")


def test_plan_shows_what_is_missing_and_apply_makes_it(project: Path, choreo: Choreo) -> None:
    """`plan` exits with 1 while something is missing, `apply` makes just that, with the counts of choreo.toml."""
    configured(project)
    planned = [json.loads(line) for line in choreo("topics", "plan", "--json", code=1).stdout.splitlines()]
    assert {row["state"] for row in planned} == {"missing"}
    by_name = {row["topic"]: row for row in planned}
    assert by_name["orders"]["config"]["retention.ms"] == str(7 * 86_400_000)
    assert by_name["orders"]["config"]["replication.factor"] == "2"
    assert by_name["choreo.inventory.changelog"]["config"]["cleanup.policy"] == "compact"
    assert choreo("topics", "apply", "--dry-run").stdout.count("\n") == len(planned) + 1
    assert choreo("topics", "list").stdout == ""
    choreo("topics", "apply")
    rows = [json.loads(line) for line in choreo("topics", "list", "--json").stdout.splitlines()]
    assert {row["topic"]: row["partitions"] for row in rows} == dict.fromkeys(by_name, 3)
    assert "every topic is as it should be" in choreo("topics", "plan").stderr


def test_inputs_that_are_there_decide_the_count(project: Path, choreo: Choreo) -> None:
    """Changelog and journal follow the inputs that exist, whatever the settings say by now."""
    configured(project)
    choreo("topics", "create", "orders", "--partitions", "2")
    choreo("topics", "apply")
    rows = [json.loads(line) for line in choreo("topics", "list", "--json").stdout.splitlines()]
    assert {row["partitions"] for row in rows} == {2}


def test_a_topic_with_another_count_is_shown_and_refused(project: Path, choreo: Choreo) -> None:
    """A changelog of another size than its inputs is in the plan; a run says what does not fit."""
    configured(project)
    choreo("topics", "create", "choreo.inventory.changelog", "--partitions", "5")
    assert "has 5 partitions" in choreo("topics", "plan", code=1).stdout
    said = choreo("run", "inventory", "--until-idle", code=1).stderr
    assert "PartitionCountError" in said
    assert "choreo.inventory.changelog 5" in said


def test_create_takes_kafkas_own_keys(directory: Path, choreo: Choreo) -> None:
    """--set passes a topic key through; anything that is not KEY=VALUE is a usage error."""
    choreo("topics", "create", "notes", "--set", "retention.ms=1000")
    assert "is not KEY=VALUE" in choreo("topics", "create", "notes", "--set", "retention", code=2).stderr


def test_an_unknown_topic_is_said_so(directory: Path, choreo: Choreo) -> None:
    """`topics show` of what is not there exits with 1 and says how to find what is."""
    assert "choreo topics list" in choreo("topics", "show", "nothing", code=2).stderr


def test_a_retention_that_is_no_duration_names_its_line(project: Path, choreo: Choreo) -> None:
    """retention = "long" is reported with its place in choreo.toml."""
    text = SETTINGS.replace('"7d"', '"long"')
    (project / "choreo.toml").write_text(text, encoding="utf-8")
    said = choreo("topics", "plan", code=2).stderr
    assert "'long' is not a duration" in said
    assert "choreo.toml:8" in said


def test_services_are_listed_with_what_they_take_and_emit(project: Path, choreo: Choreo) -> None:
    """Coordinators stand beside the services: they are services."""
    configured(project)
    rows = [json.loads(line) for line in choreo("services", "list", "--json").stdout.splitlines()]
    assert [row["service"] for row in rows] == ["inventory", "payments", "saga.order"]
    assert rows[0]["takes"] == ["shop.OrderPlaced", "shop.ReleaseRequested"]
    assert rows[1]["emits"] == ["shop.PaymentDeclined", "shop.PaymentTaken"]
