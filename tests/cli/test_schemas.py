"""`choreo schemas` without a server: the registry in a directory, files, and what a change breaks."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, writer

from tests.cli.conftest import Choreo

OLD: dict[str, Any] = {
    "type": "record",
    "name": "Paid",
    "namespace": "bank",
    "fields": [
        {"name": "order_id", "type": "string"},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {"type": "record", "name": "L", "fields": [{"name": "n", "type": "int"}]},
            },
        },
    ],
}


def written(path: Path, schema: Any) -> Path:
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path


def changed(**field: Any) -> dict[str, Any]:
    """OLD, with a field more, and numbers that became long."""
    schema: dict[str, Any] = json.loads(json.dumps(OLD).replace('"int"', '"long"'))
    schema["fields"].append({"name": "note"} | field)
    return schema


def test_a_diff_speaks_of_both_directions(directory: Path, choreo: Choreo) -> None:
    """Each direction says whether it works, and why not with the path of the field."""
    written(directory / "old.avsc", OLD)
    written(directory / "new.avsc", changed(type="string"))
    row = json.loads(choreo("schemas", "diff", "old.avsc", "new.avsc", "--json", code=1).stdout)
    assert row["backward"] == {
        "compatible": False,
        "problems": [{"path": "note", "why": "was added without a default"}],
    }
    assert row["forward"] == {"compatible": False, "problems": [{"path": "lines[].n", "why": "long became int"}]}
    said = choreo("schemas", "diff", "old.avsc", "new.avsc", code=1).stdout
    assert "backward  not compatible" in said
    assert "  lines[].n: long became int" in said


@pytest.mark.parametrize(("compatibility", "code"), [("backward", 0), ("forward", 1), ("full", 1), ("none", 0)])
def test_a_pipeline_chooses_what_must_work(directory: Path, choreo: Choreo, compatibility: str, code: int) -> None:
    """The exit code follows the direction that is wanted."""
    written(directory / "old.avsc", OLD)
    written(directory / "new.avsc", changed(type="string", default=""))
    choreo("schemas", "diff", "old.avsc", "new.avsc", "--compatibility", compatibility, code=code)


def test_a_new_name_needs_an_alias(directory: Path, choreo: Choreo) -> None:
    """A renamed event is another event to its readers, unless it says what it was called."""
    written(directory / "old.avsc", OLD)
    written(directory / "new.avsc", OLD | {"name": "Payed"})
    assert "bank.Paid is called bank.Payed" in choreo("schemas", "diff", "old.avsc", "new.avsc", code=1).stdout
    written(directory / "new.avsc", OLD | {"name": "Payed", "aliases": ["Paid"]})
    choreo("schemas", "diff", "old.avsc", "new.avsc")


def test_a_directory_is_a_registry(project: Path, choreo: Choreo) -> None:
    """Without a server the same commands work on the registry in a directory; nothing is missing there."""
    choreo("schemas", "register", "shop")
    listed = [json.loads(line) for line in choreo("schemas", "list", "--json").stdout.splitlines()]
    assert {row["subject"] for row in listed} == {
        f"shop.{name}"
        for name in (
            "OrderPlaced",
            "StockReserved",
            "ReleaseRequested",
            "StockReleased",
            "PaymentTaken",
            "PaymentDeclined",
        )
    }
    choreo("schemas", "check", "shop")
    shown = json.loads(choreo("schemas", "show", "shop.OrderPlaced").stdout)
    assert [field["name"] for field in shown["fields"]] == ["order_id", "total"]
    choreo("schemas", "diff", "shop.OrderPlaced", "shop.py:OrderPlaced", "--compatibility", "full")
    body = json.loads(choreo("schemas", "show", "shop.py:OrderPlaced", "--json-schema").stdout)
    assert set(body["properties"]) == {"order_id", "total"}


def test_the_event_of_another_becomes_a_class(directory: Path, choreo: Choreo) -> None:
    """`import` writes a module that loads, reads what the schema wrote, and is never written over by accident."""
    written(directory / "paid.avsc", OLD)
    said = choreo("schemas", "import", "paid.avsc")
    assert 'topic="bank.Paid" is a guess' in said.stderr
    assert "class Paid(Event, namespace=" in said.stdout
    command = ["schemas", "import", "paid.avsc", "--topic", "bank.paid", "--key", "order_id", "-o", "bank.py"]
    choreo(*command)
    assert "is there already" in choreo(*command, code=2).stderr
    choreo(*command, "--force")
    choreo("schemas", "diff", "paid.avsc", "bank.py:Paid", "--compatibility", "full")
    assert "has no field iban" in choreo("schemas", "import", "paid.avsc", "--key", "iban", code=1).stderr


def test_the_rows_of_a_container_file_are_emitted(project: Path, choreo: Choreo) -> None:
    """Each row of an Avro file becomes an event; one that does not fit is named by its number."""
    schema = json.loads(choreo("schemas", "show", "shop.py:OrderPlaced").stdout)
    with (project / "orders.avro").open("wb") as out:
        writer(out, parse_schema(schema), [{"order_id": f"o{n}", "total": n} for n in range(3)], codec="deflate")
    emitted = choreo("emit", "shop.py:OrderPlaced", "orders.avro", "--json").stdout.splitlines()
    assert [json.loads(line)["key"] for line in emitted] == ["o0", "o1", "o2"]
    assert "row 1 of orders.avro" in choreo("emit", "shop.py:StockReserved", "orders.avro", code=2).stderr
    choreo("schemas", "diff", "orders.avro", "shop.py:OrderPlaced", "--compatibility", "full")


def test_types_beside_a_file_are_found(directory: Path, choreo: Choreo) -> None:
    """A schema that names a type of another file is shown whole; one that nobody defines is said."""
    written(directory / "bank.L.avsc", {"type": "record", "name": "bank.L", "fields": [{"name": "n", "type": "int"}]})
    split = OLD | {"fields": [{"name": "lines", "type": {"type": "array", "items": "L"}}]}
    file = written(directory / "paid.avsc", split)
    shown = json.loads(choreo("schemas", "show", str(file)).stdout)
    assert shown["fields"][0]["type"]["items"]["name"] == "bank.L"
    (directory / "bank.L.avsc").unlink()
    assert "paid.avsc holds no valid Avro schema" in choreo("schemas", "show", "paid.avsc", code=1).stderr
