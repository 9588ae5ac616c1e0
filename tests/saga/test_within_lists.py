"""Names and types within lists and tables: found where a spec is loaded, and the same values where it runs."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, Field, computed_field

from choreo.errors import SpecError
from choreo.events.event import Event, Value
from choreo.saga.almanac import NO_SHARED
from choreo.saga.conditions import BadExpression, Language
from choreo.saga.kinds import Kind, ValueType
from choreo.saga.offers import NOBODY
from choreo.saga.spec import examine_again, parse_spec
from tests.saga.story import Story

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Cart(Event, namespace="cart", topic="carts", key="cart", abstract=True):
    cart: str


class Part(Value):
    maker: str
    weight: float


class Line(Value):
    sku: str
    quantity: int
    price: Money
    gift: str | None = None
    off: Money | None = None
    until: datetime | None = None
    tags: tuple[str, ...] = ()
    parts: list[Part] = []
    made: Part | None = None
    either: int | str = 0


class Shelf(Value):
    name: str
    below: "list[Shelf]" = []
    weight: Money = Decimal(0)


class CartFilled(Cart):
    lines: tuple[Line, ...] = ()
    best: Line | None = None
    tags: list[str] = []
    sums: list[Money] = []
    days: list[datetime] = []
    paid: datetime | None = None
    seal: bytes = b""
    rows: list[list[Line]] = []
    by_sku: dict[str, Line] = {}
    shelf: Shelf | None = None
    total: Money = Decimal(0)
    count: int = 0


class CartWanted(Cart):
    note: str = ""
    count: int = 0
    price: Money = Decimal(0)


class CartSent(Cart):
    lines: tuple[Line, ...] = ()


class Packed(Value):
    sku: str
    quantity: str
    price: Money
    gift: str | None = None
    off: Money | None = None
    until: datetime | None = None
    tags: tuple[str, ...] = ()
    parts: list[Part] = []
    made: Part | None = None
    either: int | str = 0


class Weighed(Value):
    maker: str
    weight: float
    unit: str


class Bare(Value):
    maker: str


class Loose(Value):
    model_config = ConfigDict(extra="ignore")

    maker: str


class Copied(Value):
    maker: str
    weight: Money
    note: str = ""


class PackWanted(Cart):
    lines: list[Line] = []
    sums: tuple[float, ...] = ()
    boxed: list[Packed] = []
    weighed: Weighed | None = None
    bare: Bare | None = None
    loose: Loose | None = None
    copied: list[Copied] = []
    by_sku: dict[str, Line] = {}
    tags: list[int] = []
    shelf: Shelf | None = None


class LineWanted(Cart):
    sku: str
    note: str = ""
    count: int = 0


class LineSent(Cart):
    sku: str


class LineAdded(Cart):
    sku: str
    quantity: str
    price: Money
    gift: str | None = None
    off: Money | None = None
    until: datetime | None = None
    tags: tuple[str, ...] = ()
    parts: list[Part] = []
    made: Part | None = None
    either: int | str = 0


EVENTS = (CartFilled, CartWanted, PackWanted, CartSent, LineWanted, LineSent, LineAdded)
CATALOGUE: dict[str, type[Event]] = {event.contract.full_name: event for event in EVENTS}
SPEC = """\
saga: cart
version: 1
namespace: cart
starts_on: CartFilled
correlate_by: cart
within: 1h
steps:
  - name: send
    emit: CartWanted
    completes_on: CartSent
    compensate: none
"""
EACH = """\
saga: cart
version: 1
namespace: cart
starts_on: CartFilled
correlate_by: cart
within: 1h
steps:
  - name: send
    for_each: saga.lines
    item_key: sku
    emit: {event: LineWanted, with: {MAPPING}}
    completes_on: LineSent
    compensate: none
"""
LANGUAGE = Language({f"saga.{name}": ValueType(one.annotation) for name, one in CartFilled.model_fields.items()})


def cart(when: str) -> str:
    """The spec with this condition."""
    return f'{SPEC}    when: "{when}"\n'


@pytest.mark.parametrize(
    "when",
    [
        "saga.lines[0].sku == 'tea' && saga.lines[saga.count].quantity > 1",
        "saga.lines.all(line, line.quantity > 0 && line.price > 1)",
        "saga.lines.exists(line, line.gift == null || line.gift == 'x')",
        "saga.lines.exists(line, has(line.gift) && line.made != null && line.made.weight > 2)",
        "saga.lines.exists_one(line, line.until != null && line.until > timestamp('2026-01-01T00:00:00Z'))",
        "saga.lines.filter(line, line.quantity > 1).map(line, line.price * 2).all(price, price < 10)",
        "saga.lines.filter(line, line.price > 1)[0].parts.exists(part, part.maker == 'a')",
        "saga.lines.map(line, line.parts).exists(parts, parts[0].weight > 1)",
        "saga.lines.map(line, line.quantity > 1, line.sku) == ['tea']",
        "saga.lines.all(line, line.tags.all(tag, tag.startsWith('a')) && 'b' in line.tags)",
        "saga.rows.all(row, row.all(line, line.quantity > saga.count))",
        "saga.by_sku['tea'].price > 1 && saga.by_sku.tea.sku == 'tea' && saga.by_sku.all(sku, sku != '')",
        "saga.tags.all(tag, tag == 'a') && size(saga.lines) > 1 && size(saga.lines[0]) > 3",
        "saga.sums.all(sum, sum > 1) && saga.sums[0] + 1 > 2",
        "(saga.count > 1 ? saga.lines[0] : saga.best).sku == 'tea'",
        "(saga.lines + saga.lines)[1].sku == 'tea' && [saga.lines[0]].all(line, line['sku'] == 'tea')",
        "saga.lines.exists(line, line == {'sku': 'x'} || line.tags + ['a'] == ['a'] || line.made == saga.best.made)",
        "saga.lines.map(line, {'sku': line.sku, 'n': line.quantity})[0].sku == 'x' && dyn(saga.lines[0]).more == 3",
        "saga.lines.exists(line, line.gift.matches('a.*') && (line.gift == null ? 'none' : line.gift) + 'b' == 'ab')",
        "saga.lines[0].until - saga.lines[1].until > duration('1h') && saga.lines[0].until.getHours() > 3",
        "saga.lines.exists(line, string(line.price) == '9.5' && -line.quantity < 0 && type(line.price) == double)",
        "saga.by_sku.filter(sku, sku != '')[0] == 'tea' && saga.lines == []",
        "saga.lines.all(line, line.either == 3 || line.either == 'x')",
        "saga.lines.all(line, line.gift in ['x', null])",
        "saga.shelf.below[0].below[0].below.all(shelf, shelf.weight > 1)",
        "saga.lines.all(saga, saga.quantity > 1) && saga.lines.all(_i, _i.quantity > 1)",
        "saga.lines[0] in saga.lines && saga.lines.all(line, line == saga.lines[0])",
        "saga.lines[0].sku == r'saga.nothing' // saga.lines[0].nothing",
    ],
)
def test_what_items_have_is_sound(when: str) -> None:
    """Fields of items, by number, by key and as macros bind them, are read as what they are."""
    parse_spec(cart(when), "cart.yaml", CATALOGUE)


@pytest.mark.parametrize(
    ("when", "column", "said"),
    [
        ("saga.lines[0].skuu == 'tea'", 12, "there is no saga.lines[0].skuu here"),
        ("saga.lines[0].skuu == 'tea'", 12, "^^^^^^^^^^^^^^^^^^  did you mean saga.lines[0].sku?"),
        ("1 < 2 && saga.lines[saga.count].kind == 'tea'", 21, "there is no saga.lines[saga.count].kind here"),
        ("saga.lines[0].sku > 3", 30, "'>' does not take (string, int)"),
        ("saga.lines.all(line, line.quantty > 0)", 33, "did you mean line.quantity?"),
        ("saga.lines.all(line, line.colour > 0)", 33, "^^^^^^^^^^^  there is sku, quantity, price, gift"),
        ("saga.lines.all(line, line.quantity > 'a')", 47, "'>' does not take (int, string)"),
        ("saga.lines.exists(line, line.gift != null && line.gift > 3)", 67, "'>' does not take (string, int)"),
        ("saga.lines.exists(line, line.gift in ['x', null] && line.gift > 3)", 74, "'>' does not take (string, int)"),
        ("saga.tags[0] > 3 || (saga.count > 3 ? null : saga.paid) == null", 25, "'>' does not take (string, int)"),
        ("saga.lines.exists(line, has(line.gfit))", 40, "there is no line.gfit here"),
        ("saga.lines.exists(line, line.made.wieght > 1)", 36, "there is no line.made.wieght here"),
        ("saga.lines.exists(line, line.made.weight == 'x')", 53, "'==' does not take (double, string)"),
        ("saga.lines.filter(line, line.sku > 1)[0].quantity == 1", 45, "'>' does not take (string, int)"),
        ("saga.lines.filter(line, line.quantity > 1)[0].quantty == 1", 12, "[0].quantty here"),
        ("saga.lines.filter(line, line.quantity > 1)[0].sku == 1", 62, "'==' does not take (string, int)"),
        ("saga.lines.map(line, line.sku).exists(one, one > 1)", 59, "'>' does not take (string, int)"),
        ("saga.lines.map(line, line.made)[0].maker == 3", 53, "'==' does not take (string, int)"),
        ("saga.lines.all(line, line.parts.all(part, part.makr == 'x'))", 54, "there is no part.makr here"),
        ("saga.lines.all(line, line.tags.all(tag, tag > 3))", 56, "'>' does not take (string, int)"),
        ("saga.lines.all(line, 3 in line.tags)", 35, "'in' does not take (int, list(string))"),
        ("saga.rows[0][1].sku == 3", 32, "'==' does not take (string, int)"),
        ("saga.rows.all(row, row.all(line, line.skuu == 'x'))", 45, "there is no line.skuu here"),
        ("saga.by_sku['tea'].quantty > 1", 12, "there is no saga.by_sku['tea'].quantty here"),
        ("saga.by_sku.tea.quantity == 'x'", 37, "'==' does not take (int, string)"),
        ("saga.by_sku.filter(sku, sku != '')[0] > 3", 50, "'>' does not take (string, int)"),
        ("saga.by_sku.exists(sku, sku > 3)", 40, "'>' does not take (string, int)"),
        ("saga.lines.all(saga, saga.count > 1)", 33, "there is no saga.count here"),
        ("saga.lines[0]['skuu'] == 'x'", 12, "there is no saga.lines[0]['skuu'] here"),
        ("saga.tags[0] > 3", 25, "'>' does not take (string, int)"),
        ("saga.sums.all(sum, sum == 'x')", 35, "'==' does not take (decimal, string)"),
        ("saga.days.all(day, timestamp(day) > 3)", 46, "'>' does not take (timestamp, int)"),
        ("saga.days.all(day, day > timestamp('2026-01-01T00:00:00Z'))", 35, "does not take (string, timestamp)"),
        ("saga.days[0] > 3", 25, "'>' does not take (timestamp, int)"),
        ("saga.paid > 3", 22, "'>' does not take (timestamp, int)"),
        ("saga.lines.all(line, line.until > 'x')", 44, "'>' does not take (timestamp, string)"),
        ("saga.sums[0] > 'x'", 25, "'>' does not take (decimal, string)"),
        ("saga.lines == saga.tags", 23, "'==' does not take (list(map(string, dyn)), list(string))"),
        ("(saga.count > 1 ? saga.lines[0] : saga.lines[1]).skuu == 'x'", 12, "saga.lines[1]).skuu here"),
        ("[saga.lines[0]].all(line, line.skuu == 'x')", 38, "there is no line.skuu here"),
        ("saga.shelf.below[0].below[0].nme == 'x'", 12, "there is no saga.shelf.below[0].below[0].nme here"),
        ("saga.lines.all(line, line.sku.size > 3)", 41, "cannot be the operand of a select operation"),
        ("saga.lines.map(line, line.quantity)", 11, "a condition is true or false, this gives a list"),
    ],
)
def test_what_they_have_not_is_a_mistake(when: str, column: int, said: str) -> None:
    """A field that an item lacks, and a wrong type, are found with the place where they stand."""
    with pytest.raises(SpecError) as error:
        parse_spec(cart(when), "cart.yaml", CATALOGUE)
    assert str(error.value).startswith(f"cart.yaml:12:{column}: error[")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("note: item.gift, count: item.parts.size()", None),
        ("note: 'item.made.maker'", None),
        ("count: item.sku", "cart.LineWanted.count is an int, this gives a string"),
        ("count: item.gift", "cart.LineWanted.count is an int, this gives a string"),
        ("note: item.skuu", "there is no item.skuu here"),
        ("note: item.made.makr", "there is no item.made.makr here"),
        ("note: 'item.parts[0].makr'", "there is no item.parts[0].makr here"),
        ("count: 'item.parts[0].maker'", "cart.LineWanted.count is an int, this gives a string"),
        ("note: \"item.parts.filter(part, part.weight > 'x')[0].maker\"", "'>' does not take (double, string)"),
    ],
)
def test_what_is_mapped_from_an_item_at_hand(mapping: str, said: str | None) -> None:
    """`item.FIELD` of a step with `for_each` is checked as deep as everything else."""
    text = EACH.replace("MAPPING", mapping)
    if said is None:
        parse_spec(text, "cart.yaml", CATALOGUE)
        return
    with pytest.raises(SpecError) as error:
        parse_spec(text, "cart.yaml", CATALOGUE)
    assert str(error.value).startswith("cart.yaml:11:")
    assert said in str(error.value)


def test_an_added_item_has_the_types_of_the_others() -> None:
    """An event of `adds_on` whose field has another type is a mistake: conditions and mappings would read it."""
    text = EACH.replace("MAPPING", "note: item.gift").replace("item_key: sku", "item_key: sku\n    adds_on: LineAdded")
    with pytest.raises(SpecError) as error:
        parse_spec(text, "cart.yaml", CATALOGUE)
    said = "cart.LineAdded adds an item, and its quantity is a string"
    assert str(error.value).startswith(f"cart.yaml:11:14: error[wrong-type]: {said}")
    assert "^^^^^^^^^  that of saga.lines is an int" in str(error.value)


WHOLE = "cart.PackWanted.tags[] is an int, but saga.tags[] is a string"


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("tags: '[1]', loose: 'saga.lines[0].made'", None),
        (
            "tags: '[]', copied: 'saga.lines[0].parts', shelf: saga.shelf, lines: 'saga.lines.filter(l, l.price > 1)'",
            None,
        ),
        ("tags: 'saga.lines.map(l, l.quantity)', by_sku: saga.by_sku, sums: saga.sums, lines: '[saga.best]'", None),
        ("sums: saga.tags, tags: '[1]'", "PackWanted.sums[] is a double, and in what this gives it is a string"),
        ("tags: 'saga.lines.map(l, l.sku)'", "cart.PackWanted.tags[] is an int, and in what this gives it is a string"),
        (
            "tags: '[1]', boxed: saga.lines",
            "cart.PackWanted.boxed[].quantity is a string, and in what this gives it is an int",
        ),
        (
            "tags: '[1]', weighed: 'saga.lines[0].made'",
            "cart.PackWanted.weighed.unit needs a value, and in what this gives it is not",
        ),
        (
            "tags: '[1]', bare: 'saga.lines[0].made'",
            "cart.PackWanted.bare.weight is no field, and in what this gives it is a double",
        ),
        ("lines: saga.lines", WHOLE),
    ],
)
def test_lists_and_records_fit_as_a_whole(mapping: str, said: str | None) -> None:
    """Items of another type, and records that lack a field or have one too many, are found before they are emitted."""
    text = SPEC.replace("emit: CartWanted", f"emit: {{event: PackWanted, with: {{{mapping}}}}}")
    if said is None:
        parse_spec(text, "cart.yaml", CATALOGUE)
        return
    with pytest.raises(SpecError) as error:
        parse_spec(text, "cart.yaml", CATALOGUE)
    assert "error[wrong-type]" in str(error.value)
    assert said in str(error.value)


LINE = {"sku": "tea", "quantity": 2, "price": "9.50", "off": None, "until": "2026-03-01T00:00:00Z", "parts": []}
SHELF = {"name": "a", "weight": "1.5", "below": [{"name": "b", "weight": "2.5", "below": []}]}
VALUES: Mapping[str, Any] = {
    "saga.lines": [LINE, LINE | {"off": "1.25", "parts": [{"maker": "m", "weight": 3}]}],
    "saga.best": None,
    "saga.days": ["2026-03-01T00:00:00Z"],
    "saga.paid": "2026-03-02T00:00:00Z",
    "saga.seal": "_-8=",
    "saga.sums": ["1.50", "2"],
    "saga.by_sku": {"tea": LINE},
    "saga.shelf": SHELF,
    "saga.count": 1,
    "saga.total": "3.00",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("saga.lines.all(line, line.price > 3 && line.price * 2 == 19)", True),
        ("saga.lines.exists(line, line.off != null && line.off + 1 > 2)", True),
        ("saga.lines.filter(line, line.off != null).map(line, line.off * 2)", [2.5]),
        ("saga.lines[0].until < timestamp('2026-04-01T00:00:00Z')", True),
        ("saga.lines[1].parts[0].weight / 2", 1.5),
        ("saga.sums[1] + 1 + saga.total", 6.0),
        ("saga.by_sku.tea.price - 1", 8.5),
        ("saga.shelf.below[0].weight > 2 && saga.shelf.weight * 2 == 3", True),
        ("saga.lines[0].until", "2026-03-01T00:00:00+00:00"),
        ("saga.lines.map(line, has(line.until) && line.until != null, line.until)[1] == saga.lines[0].until", True),
        ("saga.lines.filter(line, line.price > 1)[1].until.getFullYear()", 2026),
        ("saga.days.all(day, timestamp(day) < saga.paid) && saga.days[0] < saga.paid", True),
        ("saga.paid != null && saga.paid > timestamp('2026-03-01T00:00:00Z')", True),
        ("saga.seal == b'\\xff\\xef'", True),
        ("saga.seal", "_-8="),
        ("saga.best == null || saga.best.price > 1", True),
    ],
)
def test_what_is_checked_is_what_runs(text: str, value: object) -> None:
    """A Decimal within a list, a record or a table is a double when it runs too, and a datetime a timestamp."""
    assert LANGUAGE.compile(text).evaluate(VALUES) == (value, None)


def test_a_decimal_that_may_be_null_is_a_double_where_it_is_not() -> None:
    """A condition on it holds or does not hold; it does not fail the step."""
    language = Language({"saga.off": ValueType(Money | None)})
    asked = language.compile("saga.off != null && saga.off * 2 > 3")
    told = [asked.evaluate({"saga.off": off}).value for off in ("9.50", None, "1.00")]
    assert told == [True, False, False]


class Priced(Value):
    price: Money

    @computed_field  # type: ignore[prop-decorator]  # as pydantic tells its users
    @property
    def doubled(self) -> Money:
        return 2 * self.price


def test_a_computed_field_is_one_like_any_other() -> None:
    """Events are remembered with it, so it can be read."""
    language = Language({"saga.items": ValueType(list[Priced])})
    items = [json.loads(Priced(price=Decimal(2)).model_dump_json())]
    assert language.compile("saga.items[0].doubled / 2").evaluate({"saga.items": items}) == (2.0, None)
    with pytest.raises(BadExpression, match="does not take"):
        language.compile("saga.items[0].doubled > 'x'")


def test_a_value_of_another_type_is_a_problem_and_no_crash() -> None:
    """What was remembered under an older type of a field fails the step with a sentence."""
    problem = LANGUAGE.compile("saga.sums[0] > 1").evaluate({"saga.sums": ["much"]}).problem
    assert problem == "could not convert string to float: 'much'"


def test_a_condition_over_items_decides_a_story() -> None:
    """The saga asks for what it has to when a line is dear, and skips the step when none is."""
    spec = parse_spec(cart("saga.lines.exists(line, line.price > 5)"), "cart.yaml", CATALOGUE)
    for price, status in (("9.50", "waiting"), ("1.00", "completed")):
        story = Story(spec).when("CartFilled", lines=[LINE | {"price": price}])
        assert story.instance is not None
        assert story.instance.status == status


def test_a_point_in_time_may_lie_within_a_list() -> None:
    """A deadline that an item names is kept; a field of another type is no point in time."""
    text = f"{SPEC}    deadline: saga.lines[0].until\n".replace("within: 1h", "within: none")
    spec = parse_spec(text, "cart.yaml", CATALOGUE)
    story = Story(spec).when("CartFilled", lines=[LINE | {"until": "2100-01-01T00:00:00Z"}])
    assert story.instance is not None
    assert story.instance.steps["send"].due == 4_102_444_800_000_000
    with pytest.raises(SpecError, match=r"cart\.yaml:12:15: .* a point in time is wanted, this gives a string"):
        parse_spec(text.replace("until", "sku"), "cart.yaml", CATALOGUE)


def test_what_lies_within_a_kind_is_not_known() -> None:
    """Where no more is known of a variable than its kind, nothing is said about what lies within."""
    language = Language({"saga.lines": Kind.LIST, "saga.place": Kind.MAP})
    language.compile("saga.lines.all(line, line.anything > 3) && saga.place.town == 'x'")


def test_the_place_is_that_of_the_text_as_it_was_written() -> None:
    """Where ints were taken for doubles before it, the offset of a mistake stays right."""
    with pytest.raises(BadExpression) as raised:
        LANGUAGE.compile(
            "saga.total > 3 && saga.sums[0] > 1 && saga . tags[0]\n== 'x' &&\n saga.lines[0] // dear\n.sku > 3"
        )
    assert (raised.value.offset, str(raised.value)) == (91, "'>' does not take (string, int)")


@pytest.mark.parametrize(
    "when", ["saga.lines.exists(line, line.price == '9.50')", "saga.lines.exists(line, line.colour == 'red')"]
)
def test_what_was_deployed_before_runs_as_it_did(when: str) -> None:
    """A condition that an older release took is worked out as that release did it: its instances go on."""
    spec, problems = examine_again(cart(when), "cart.yaml", CATALOGUE, NOBODY, NO_SHARED)
    assert spec is not None
    assert problems.found == []
    asked = spec.steps[0].when
    assert asked is not None
    assert asked.evaluate({"saga.lines": [LINE | {"colour": "red"}]}) == (True, None)
