"""`choreo config schema` and `choreo sagas schema`: what an editor is given."""

import json
from pathlib import Path

from choreo.config.schema import config_schema
from choreo.saga.schema import calendars_schema, spec_schema
from tests.cli.conftest import Choreo

SETTINGS = """
from choreo import Settings


class TillSettings(Settings):
    drawer: str


till = Service("till", handlers=[TakePayment], settings=TillSettings)
"""


def test_without_a_project_the_schemas_are_the_plain_ones(directory: Path, choreo: Choreo) -> None:
    """One JSON document on stdout, whole lines or one line."""
    assert json.loads(choreo("config", "schema").stdout) == config_schema()
    assert json.loads(choreo("sagas", "schema").stdout) == spec_schema()
    assert choreo("sagas", "schema", "--json").stdout.count("\n") == 1


def test_the_calendars_that_specs_share_have_a_schema_of_their_own(directory: Path, choreo: Choreo) -> None:
    """It is asked for beside that of the specs; targets, which could add events, have no meaning for it."""
    assert json.loads(choreo("sagas", "schema", "--calendars").stdout) == calendars_schema()
    assert "--calendars takes no targets" in choreo("sagas", "schema", "--calendars", "shop.py", code=2).stderr


def test_a_project_adds_its_events_and_settings(project: Path, choreo: Choreo) -> None:
    """The events that its modules hold are offered in specs, the settings of its services in choreo.toml."""
    with (project / "shop.py").open("a", encoding="utf-8") as file:
        file.write(SETTINGS)
    (project / "choreo.toml").write_text('[project]\nservices = ["shop.py"]\n', encoding="utf-8")
    spec = json.loads(choreo("sagas", "schema").stdout)
    assert {"shop.OrderPlaced", "OrderPlaced"} <= set(spec["properties"]["starts_on"]["anyOf"][0]["enum"])
    config = json.loads(choreo("config", "schema").stdout)
    assert "drawer" in config["$defs"]["settings"]["properties"]["till"]["properties"]


def test_half_written_code_does_not_take_the_schema_away(project: Path, choreo: Choreo) -> None:
    """A project whose code can't be loaded gets the plain schema, and a line on stderr that says so; a target that is
    asked for by name is an error.
    """
    (project / "choreo.toml").write_text('[project]\nservices = ["shop.py"]\n', encoding="utf-8")
    (project / "shop.py").write_text("def half(", encoding="utf-8")
    said = choreo("sagas", "schema")
    assert json.loads(said.stdout) == spec_schema()
    assert said.stderr.startswith("without what the project's own code would add: shop.py can't be imported")
    choreo("sagas", "schema", "shop.py", code=2)
