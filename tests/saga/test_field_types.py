"""Types of fields that may be null and of fields of records: what can't be done with them is a mistake of the spec."""

from datetime import datetime

import pytest

from choreo.errors import SpecError
from choreo.events.event import Event, Value
from choreo.saga.kinds import ValueType
from choreo.saga.spec import parse_spec
from tests.saga.story import Story


class Tour(Event, namespace="tour", topic="tours", key="tour", abstract=True):
    tour: str


class Place(Value):
    town: str
    zip: int | None = None


class Home(Value):
    place: Place
    floor: int = 0


class TourWanted(Tour):
    home: Home | None = None
    place: Place = Place(town="Bonn")
    note: str | None = None
    people: int | None = None
    weight: float | None = None
    quiet: bool | None = None
    until: datetime | None = None
    either: int | str | None = None


class GuideAsked(Tour):
    people: int = 0
    extra: int | None = None
    note: str = ""


class GuideFound(Tour):
    ends: datetime | None = None


CATALOGUE: dict[str, type[Event]] = {event.contract.full_name: event for event in (TourWanted, GuideAsked, GuideFound)}
SPEC = """\
saga: tour
version: 1
namespace: tour
starts_on: TourWanted
correlate_by: tour
within: 1h
steps:
  - name: guide
    emit: {event: GuideAsked, with: {people: saga.people, note: "'x'"}}
    completes_on: GuideFound
    compensate: none
"""


def guide(key: str) -> str:
    """The spec with one more key of its step, or another request."""
    if key.startswith("with:"):
        return SPEC.replace("{people: saga.people, note: \"'x'\"}", key.removeprefix("with: "))
    return f"{SPEC}    {key}\n"


@pytest.mark.parametrize(
    "key",
    [
        "when: saga.note == null || saga.note == 'x'",
        "when: saga.note != null && saga.note.startsWith('x')",
        "when: null != saga.people && saga.people > 3",
        "when: saga.weight > 3",
        "when: saga.either == 3 || saga.either == 'x'",
        "when: saga.note in ['x', null]",
        "deadline: saga.until",
        "with: {extra: saga.people, note: \"saga.note == null ? 'none' : saga.note\"}",
        "with: {note: saga.either}",
        "when: saga.place.town.startsWith('B') && saga.place.zip == null",
        "when: saga.home != null && saga.home.place.town == 'Bonn' && saga.home.floor > 3",
        "when: has(saga.place.zip) && size(saga.place) > 1",
        "with: {note: saga.home.place.town}",
    ],
)
def test_what_a_field_can_be_is_sound(key: str) -> None:
    """Null may be asked for, and a value of the field's type be read."""
    parse_spec(guide(key), "tour.yaml", CATALOGUE)


@pytest.mark.parametrize(
    ("key", "at", "said"),
    [
        ("when: saga.note > 3", "12:21", "'>' does not take (string, int)"),
        ("when: saga.people != null && saga.people == 'x'", "12:46", "'==' does not take (int, string)"),
        ("when: saga.quiet", "12:11", "a condition is true or false, and this may be null"),
        ("when: has(saga.note)", "12:11", "ask whether it is null: saga.x != null"),
        ("deadline: saga.note", "12:15", "a point in time is wanted, this gives a string"),
        ("when: saga.place.town > 3", "12:27", "'>' does not take (string, int)"),
        ("when: saga.place.twon == 'Bonn'", "12:11", "there is no saga.place.twon here"),
        ("when: saga.home.place.zpi == 3", "12:11", "did you mean saga.home.place.zip?"),
        ("with: {people: saga.place.town}", "9:46", "tour.GuideAsked.people is an int, this gives a string"),
        ("within: steps.guide.tour", "12:13", "a point in time is wanted, this gives a string"),
        ("with: {people: saga.note}", "9:46", "tour.GuideAsked.people is an int, this gives a string"),
        ("with: {extra: saga.note}", "9:45", "tour.GuideAsked.extra is an int, this gives a string"),
        ("with: {note: saga.people}", "9:44", "tour.GuideAsked.note is a string, this gives an int"),
    ],
)
def test_what_it_can_not_be_is_a_mistake(key: str, at: str, said: str) -> None:
    """A wrong type is found where the spec is loaded, also where the field may be null."""
    with pytest.raises(SpecError) as error:
        parse_spec(guide(key), "tour.yaml", CATALOGUE)
    assert str(error.value).startswith(f"tour.yaml:{at}: error[")
    assert said in str(error.value)


def test_a_condition_that_asks_for_null_first_runs() -> None:
    """What was checked with a value is worked out with null too."""
    spec = parse_spec(guide("when: saga.people == null || saga.people > 3"), "tour.yaml", CATALOGUE)
    for people, status in ((None, "waiting"), (4, "waiting"), (2, "completed")):
        story = Story(spec).when("TourWanted", people=people)
        assert story.instance is not None
        assert story.instance.status == status


def test_a_list_of_records_has_none_of_their_fields() -> None:
    """Only a record, or one that may be null, has fields by name; a list of them, or one of several kinds, has none."""
    of_place = ValueType(Place).fields
    assert {name: one.present for name, one in of_place.items()} == {"town": "string", "zip": "int"}
    assert ValueType(Place | None).fields.keys() == of_place.keys()
    assert ValueType(list[Place]).fields == {}
    assert ValueType(Place | Home).fields == {}
