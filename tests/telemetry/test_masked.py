"""What is marked in the schema that a body was written with is masked, however deep it lies."""

from choreo import Event, Personal, Value
from choreo.events.avro import schema_of
from choreo.telemetry.privacy import masked_as


class Home(Value):
    street: Personal[str]
    town: str


class Moved(Event, namespace="masked", topic="masked.moves", key="who"):
    who: str
    old: Home
    new: Home | None = None
    others: tuple[Home, ...] = ()
    by_year: dict[str, Home] = {}
    phone: Personal[str | None] = None


def test_personal_fields_are_masked_in_records_lists_tables_and_unions() -> None:
    """Also where a record is named for the second time; what is not marked is shown."""
    home, shown = {"street": "Elm 5", "town": "Bonn"}, {"street": "***", "town": "Bonn"}
    body = {"who": "w", "old": home, "new": home, "others": [home], "by_year": {"1999": home}, "phone": "0228"}
    assert masked_as(schema_of(Moved), body) == {
        "who": "w", "old": shown, "new": shown, "others": [shown], "by_year": {"1999": shown}, "phone": "***",
    }  # fmt: skip
    assert body["old"] == home
    assert masked_as(schema_of(Moved), body | {"new": None, "others": []})["new"] is None
