"""The keys of one table of a spec, each read in the shape that it is declared with."""

from choreo.saga.durations import parse_duration
from choreo.saga.problems import Problems, did_you_mean
from choreo.saga.raw import Limit
from choreo.saga.shapes import OPENS, Shape
from choreo.saga.shapes import Keys as Known
from choreo.saga.yaml import Items, Node, Table, Text

WORDS = (Shape.WORD, Shape.EVENT, Shape.EXPRESSION, Shape.SAGA_NAME, Shape.STEP_NAME)

IS_OVER = "{key}: {text} is over before anything can happen"
PASSES = "a time that passes, such as 30s, 5m or 2h; none: for ever, on purpose"
OVER_AT_ONCE = {
    "longest": ("longest: {text} leaves no wait at all", "wait: 0s goes on at once; without longest every wait grows"),
}
"""What is said of a duration of nothing, and the cure, by key."""


class Keys:
    """The keys of one table, taken one by one, each in the shape that it is declared with; an unknown key, and one that
    is missing, is a problem at once.
    """

    def __init__(self, table: Table, problems: Problems, what: str, known: Known) -> None:
        self._entries, self.problems, self._known = table.entries, problems, known
        for key, _ in table.entries.values():
            if key.value not in known:
                cure = did_you_mean(key.value, known, f"known are {', '.join(known)}")
                problems.add(key.place, "unknown-key", f"{what} has no key {key.value}", cure)
        for name, wanted in known.items():
            if wanted.required and name not in table.entries and wanted.unless not in table.entries:
                said, cure = wanted.missing or f"{what} has no {name}", wanted.cure or f"add {name}:"
                problems.add(table.place, "missing-key", said, cure)

    def node(self, key: str, *shapes: Shape) -> Node | None:
        """The value of `key`, whatever it is."""
        assert self._known[key].shape in shapes, f"{key} is declared as another shape, and editors go by that"
        found = self._entries.get(key)
        return found[1] if found else None

    def inner(self, key: str, shape: Shape, known: Known, example: str) -> "Keys | None":
        """The keys of the table under `key`. None where it is missing, and, with the problem noted, no table."""
        node = self.node(key, shape)
        if isinstance(node, Table):
            return Keys(node, self.problems, key, known)
        if node is not None:
            self.problems.add(node.place, "wrong-shape", f"{key} takes a table{example}")
        return None

    def text(self, key: str, *shapes: Shape) -> Text | None:
        """One word. None, with the problem noted, for anything else."""
        node = self.node(key, *(shapes or WORDS))
        if node is None or (isinstance(node, Text) and node.value):
            return node
        self.problems.add(node.place, "wrong-shape", f"{key} takes a single value here")
        return None

    def names(self, key: str) -> tuple[Text, ...]:
        """One word or a list of them, not an empty one where the key must be there; () where the key is missing."""
        return self.names_in(key, self.node(key, Shape.NAMES, Shape.EVENTS))

    def names_in(self, key: str, node: Node | None) -> tuple[Text, ...]:
        """The same of a value that was looked at already."""
        if node is None:
            return ()
        if isinstance(node, Text) and node.value:
            return (node,)
        if isinstance(node, Items) and (node.values or not self._known[key].required):
            words = tuple(item for item in node.values if isinstance(item, Text) and item.value)
            if len(words) == len(node.values):
                return words
        self.problems.add(node.place, "wrong-shape", f"{key} takes one name or a list of names")
        return ()

    def limit(self, key: str) -> Limit | None:
        """A duration; None where the key is missing."""
        text = self.text(key, Shape.DURATION, Shape.LIMIT, Shape.PASSING)
        return None if text is None else self.limit_of(key, text)

    def passing(self, key: str) -> Limit | None:
        """A duration that is one, or `none`: nothing can be waited for that is over at once."""
        limit, text = self.limit(key), self.text(key, Shape.LIMIT)
        self._check_passes(key, limit, text)
        return limit

    def _check_passes(self, key: str, limit: Limit | Text | None, text: Text | None) -> None:
        if isinstance(limit, Limit) and limit.micros == 0 and text is not None:
            said, cure = OVER_AT_ONCE.get(key, (IS_OVER, PASSES))
            self.problems.add_since(text.place, "not-a-duration", said.format(key=key, text=text.value), cure)

    def limit_of(self, key: str, text: Text) -> Limit:
        """The same of a text that was looked at already."""
        try:
            return Limit(parse_duration(text.value))
        except ValueError as error:
            self.problems.add(text.place, "not-a-duration", f"{key}: {error}")
            return Limit(None)

    def time(self, key: str) -> Limit | Text | None:
        """A duration, or the text of an expression; None where the key is missing."""
        text = self.text(key, Shape.TIME)
        limit = self._time_of(key, text)
        self._check_passes(key, limit, text)
        return limit

    def beginning(self, key: str) -> Limit | Text | None:
        """The same, or the word that waits until a calendar is open."""
        text = self.text(key, Shape.BEGINNING)
        return text if text is not None and text.value == OPENS else self._time_of(key, text)

    def _time_of(self, key: str, text: Text | None) -> Limit | Text | None:
        if text is None or "saga." in text.value or "steps." in text.value:
            return text
        return self.limit_of(key, text)

    def number(self, key: str, default: int) -> int:
        """A whole number of at least 1."""
        text = self.text(key, Shape.NUMBER)
        if text is None:
            return default
        if text.value.isdecimal() and int(text.value) >= 1:
            return int(text.value)
        self.problems.add(text.place, "not-a-number", f"{key} takes a whole number of at least 1, not {text.value}")
        return default

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        text = self.text(key, Shape.FLAG)
        if text is not None and text.value not in ("true", "false"):
            self.problems.add(text.place, "wrong-shape", f"{key} is true or false, not {text.value}")
        return text is not None and text.value == "true"
