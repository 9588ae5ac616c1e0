"""YAML as text, lists and tables that remember where they stand; what the words mean is left to `raw.py`."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from choreo.saga.problems import Place, Problems

NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class Text:
    """A scalar as written. `inside` is the column at which its text begins; None for text over several lines."""

    value: str
    place: Place
    inside: int | None = None


@dataclass(frozen=True)
class Items:
    """A list."""

    values: "tuple[Node, ...]"
    place: Place


@dataclass(frozen=True)
class Table:
    """A mapping: key -> (key as written, value)."""

    entries: "dict[str, tuple[Text, Node]]"
    place: Place


Node: TypeAlias = Text | Items | Table


def read_yaml(source: str, problems: Problems) -> Table | None:
    """The table at the top of a file; None, with the problem noted, where there is none.

    Duplicate keys, anchors that lead in circles and whatever else is no plain YAML 1.2 are problems too.
    """
    try:
        top = YAML(typ="rt").compose(source)
    except MarkedYAMLError as error:
        _explain(error, problems)
        return None
    except (YAMLError, ValueError) as error:
        problems.add(Place(1, 1), "not-yaml", str(error).splitlines()[0])
        return None
    if not isinstance(top, MappingNode):
        problems.add(Place(1, 1), "not-a-spec", "a spec is a table of keys and values, beginning with `saga: NAME`")
        return None
    node = _convert(top, problems, ())
    return node if isinstance(node, Table) else None


CURES = (
    ("'\\t'", "indent with spaces"),
    ("expected <block end>", "the lines of one table or list begin in the same column"),
    ("mapping values are not allowed", "a text with a colon in it stands in quotes"),
)


def _explain(error: MarkedYAMLError, problems: Problems) -> None:
    """The parser's words, with what they mostly mean in a spec."""
    mark, says = error.problem_mark or error.context_mark, str(error.problem or error.context or "this is not YAML")
    cure = next((cure for words, cure in CURES if words in says), "")
    if "alias" in str(error.context):  # the usual alias of a spec is none: a cron window or a product without quotes
        cure = "a text that begins with * stands in quotes"
    elif "quoted scalar" in str(error.context) and error.context_mark:
        mark, says, cure = error.context_mark, "this quote is never closed", ""
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problems.add(place, "not-yaml", says, cure)


def _place(node: Any) -> Place:
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if end.line == start.line else 1
    return Place(start.line + 1, start.column + 1, max(1, length))


def _convert(node: Any, problems: Problems, above: tuple[int, ...]) -> Node:
    place = _place(node)
    if id(node) in above:
        problems.add(place, "not-yaml", "this alias leads back to itself")
        return Text("", place)
    within = (*above, id(node))
    if isinstance(node, SequenceNode):
        return Items(tuple(_convert(item, problems, within) for item in node.value), place)
    if isinstance(node, MappingNode):
        return _table(node, problems, within)
    assert isinstance(node, ScalarNode)
    value = "" if node.tag == NULL else str(node.value)
    one_line = node.start_mark.line == node.end_mark.line and node.style not in ("|", ">")
    inside = place.column + (1 if node.style in ("'", '"') else 0) if one_line else None
    return Text(value, place, inside)


def _table(node: Any, problems: Problems, above: tuple[int, ...]) -> Table:
    entries: dict[str, tuple[Text, Node]] = {}
    for key_node, value_node in node.value:
        key = _convert(key_node, problems, above)
        if not isinstance(key, Text):
            problems.add(key.place, "not-a-key", "a key is one word")
            continue
        if key.value in entries:
            cure = f"the first is in line {entries[key.value][0].place.line}"
            problems.add(key.place, "duplicate-key", f"{key.value} stands here twice", cure)
            continue
        left_out = isinstance(value_node, ScalarNode) and value_node.start_mark.index == value_node.end_mark.index
        # The parser finds a value that was left out where the next thing begins, which is a line that is well.
        entries[key.value] = (key, Text("", key.place) if left_out else _convert(value_node, problems, above))
    return Table(entries, _place(node))
