"""From YAML nodes to a `RawSpec`: known keys, right shapes, durations. Names are looked up by `checking.py`."""

import re
from collections.abc import Iterable

from choreo.saga.durations import parse_duration
from choreo.saga.problems import Place, Problems, did_you_mean
from choreo.saga.raw import Limit, RawCompensation, RawEmission, RawSpec, RawStep
from choreo.saga.rules import OnTimeout
from choreo.saga.yaml import Items, Node, Table, Text

SPEC_KEYS = (
    "saga",
    "version",
    "namespace",
    "starts_on",
    "correlate_by",
    "remember",
    "within",
    "deadline",
    "cancels_on",
    "keep_early",
    "keep_ended",
    "refuse_again",
    "steps",
)
STEP_KEYS = (
    "name",
    "after",
    "when",
    "emit",
    "completes_on",
    "fails_on",
    "unknown_on",
    "within",
    "deadline",
    "on_timeout",
    "compensate",
    "pivot",
)
COMPENSATE_KEYS = ("emit", "with", "done_on", "fails_on", "within", "attempts", "wait")
SAGA_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
EVERY_EVENT = ""


class Keys:
    """The keys of one table, taken one by one; an unknown key is a problem at once."""

    def __init__(self, table: Table, problems: Problems, what: str, known: Iterable[str]) -> None:
        self._entries, self._problems, self._what = table.entries, problems, what
        self.place = table.place
        for key, _ in table.entries.values():
            if key.value not in known:
                cure = did_you_mean(key.value, known, f"known are {', '.join(known)}")
                problems.add(key.place, "unknown-key", f"{what} has no key {key.value}", cure)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def node(self, key: str) -> Node | None:
        """The value of `key`, whatever it is."""
        found = self._entries.get(key)
        return found[1] if found else None

    def text(self, key: str, *, required: bool = False) -> Text | None:
        """One word. None, with the problem noted, for anything else."""
        node = self.node(key)
        if node is None:
            if required:
                self._problems.add(self.place, "missing-key", f"{self._what} has no {key}", f"add {key}:")
            return None
        if isinstance(node, Text) and node.value:
            return node
        self._problems.add(node.place, "wrong-shape", f"{key} takes one word here")
        return None

    def names(self, key: str) -> tuple[Text, ...]:
        """One word or a list of them; () where the key is missing."""
        node = self.node(key)
        if node is None:
            return ()
        if isinstance(node, Text) and node.value:
            return (node,)
        if isinstance(node, Items) and all(isinstance(item, Text) and item.value for item in node.values):
            return tuple(item for item in node.values if isinstance(item, Text))
        self._problems.add(node.place, "wrong-shape", f"{key} takes one name or a list of names")
        return ()

    def limit(self, key: str) -> Limit | None:
        """A duration; None where the key is missing."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return Limit(parse_duration(text.value))
        except ValueError as error:
            self._problems.add(text.place, "not-a-duration", f"{key}: {error}")
            return Limit(None)

    def number(self, key: str, default: int) -> int:
        """A whole number of at least 1."""
        text = self.text(key)
        if text is None:
            return default
        if text.value.isdecimal() and int(text.value) >= 1:
            return int(text.value)
        self._problems.add(text.place, "not-a-number", f"{key} takes a whole number of at least 1, not {text.value}")
        return default

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        text = self.text(key)
        if text is not None and text.value not in ("true", "false"):
            self._problems.add(text.place, "wrong-shape", f"{key} is true or false, not {text.value}")
        return text is not None and text.value == "true"


def read_spec(table: Table, problems: Problems) -> RawSpec | None:
    """The spec of a file's top table; None where not even its name, start or key can be read. Fills `problems`."""
    keys = Keys(table, problems, "a saga", SPEC_KEYS)
    name = keys.text("saga", required=True)
    if name and not SAGA_NAME.fullmatch(name.value):
        said = f"{name.value} is not a saga's name: lower-case letters, digits and _ only"
        problems.add(name.place, "not-a-name", said)
    keys.text("version", required=True)
    starts_on = keys.text("starts_on", required=True)
    namespace = keys.text("namespace")
    cancels_on, refused = _cancellation(keys.node("cancels_on"), problems)
    correlate_by = _correlation(keys, problems)
    steps = _steps(keys, problems)
    if name is None or starts_on is None:
        return None
    return RawSpec(
        name=name,
        version=keys.number("version", 1),
        namespace=namespace.value if namespace else "",
        starts_on=starts_on,
        correlate_by=correlate_by,
        remember=keys.names("remember"),
        within=keys.limit("within"),
        deadline=keys.limit("deadline"),
        cancels_on=cancels_on,
        refused=refused,
        keep_early=keys.limit("keep_early"),
        keep_ended=keys.limit("keep_ended"),
        refuse_again=keys.limit("refuse_again"),
        steps=steps,
        place=table.place,
    )


def _correlation(keys: Keys, problems: Problems) -> tuple[tuple[Text, Text], ...]:
    node = keys.node("correlate_by")
    if isinstance(node, Table):
        pairs = []
        for key, value in node.entries.values():
            if isinstance(value, Text) and value.value:
                pairs.append((key, value))
            else:
                problems.add(value.place, "wrong-shape", f"correlate_by: {key.value} takes the name of a field")
        return tuple(pairs)
    text = keys.text("correlate_by", required=True)
    return ((Text(EVERY_EVENT, text.place), text),) if text else ()


def _cancellation(node: Node | None, problems: Problems) -> tuple[Text | None, RawEmission | None]:
    if not isinstance(node, Table):
        emission = _emission(node, None, problems) if node is not None else None
        return (emission.event if emission else None), None
    keys = Keys(node, problems, "cancels_on", ("event", "refused"))
    refused = keys.node("refused")
    return keys.text("event", required=True), _emission(refused, None, problems) if refused is not None else None


def _steps(keys: Keys, problems: Problems) -> tuple[RawStep, ...]:
    node = keys.node("steps")
    if not isinstance(node, Items) or not node.values:
        place = node.place if node is not None else keys.place
        cure = "steps: [{name: ..., completes_on: ...}]"
        problems.add(place, "no-steps", "a saga has a list of at least one step", cure)
        return ()
    steps = []
    for item in node.values:
        if isinstance(item, Table):
            step = _step(item, problems)
            steps += [step] if step else []
        else:
            problems.add(item.place, "wrong-shape", "a step is a table of keys, beginning with name:")
    return tuple(steps)


def _step(table: Table, problems: Problems) -> RawStep | None:
    keys = Keys(table, problems, "a step", STEP_KEYS)
    name = keys.text("name", required=True)
    emit = keys.node("emit")
    compensate = keys.node("compensate")
    says_none = isinstance(compensate, Text) and compensate.value == "none"
    if "completes_on" not in keys:
        cure = "add completes_on: the event that ends it"
        problems.add(table.place, "missing-key", "a step has no completes_on", cure)
    if name is None:
        return None
    return RawStep(
        name=name,
        after=keys.names("after"),
        when=keys.text("when"),
        emit=_emission(emit, None, problems) if emit is not None else None,
        completes_on=keys.names("completes_on"),
        fails_on=keys.names("fails_on"),
        unknown_on=keys.names("unknown_on"),
        within=keys.limit("within"),
        deadline=keys.limit("deadline"),
        on_timeout=_on_timeout(keys.node("on_timeout"), problems),
        compensate=None if compensate is None or says_none else _compensation(compensate, problems),
        says_compensate=compensate is not None,
        pivot=keys.flag("pivot"),
    )


def _on_timeout(node: Node | None, problems: Problems) -> OnTimeout:
    if node is None:
        return OnTimeout()
    if isinstance(node, Text) and node.value in ("fail", "escalate", "retry"):
        return {"fail": OnTimeout(), "escalate": OnTimeout("escalate")}.get(node.value, OnTimeout("retry", 3))
    if isinstance(node, Table):
        retry = Keys(node, problems, "on_timeout", ("retry",)).node("retry")
        if isinstance(retry, Table):
            keys = Keys(retry, problems, "retry", ("attempts", "wait"))
            wait = keys.limit("wait")
            return OnTimeout("retry", keys.number("attempts", 3), (wait.micros or 0) if wait else 0)
    cure = "on_timeout: fail, escalate, or {retry: {attempts: 3, wait: 30s}}"
    problems.add(node.place, "wrong-shape", "this is no answer to a timeout", cure)
    return OnTimeout()


def _compensation(node: Node, problems: Problems) -> RawCompensation | None:
    if not isinstance(node, Table):
        cure = "compensate: {emit: ..., done_on: ...}, or none"
        problems.add(node.place, "wrong-shape", "a compensation is a table, or none", cure)
        return None
    keys = Keys(node, problems, "compensate", COMPENSATE_KEYS)
    emit = keys.node("emit")
    if emit is None:
        keys.text("emit", required=True)
    if "done_on" not in keys:
        cure = "add done_on: the event that says so"
        problems.add(node.place, "missing-key", "compensate does not say when it is done", cure)
    emission = _emission(emit, keys.node("with"), problems) if emit is not None else None
    if emission is None:
        return None
    return RawCompensation(
        emit=emission,
        done_on=keys.names("done_on"),
        fails_on=keys.names("fails_on"),
        within=keys.limit("within"),
        attempts=keys.number("attempts", 3),
        wait=keys.limit("wait"),
    )


def _emission(node: Node | None, mappings: Node | None, problems: Problems) -> RawEmission | None:
    if isinstance(node, Table):
        keys = Keys(node, problems, "emit", ("event", "with"))
        event, mappings = keys.text("event", required=True), keys.node("with") or mappings
        return RawEmission(event, _mappings(mappings, problems)) if event else None
    if isinstance(node, Text) and node.value:
        return RawEmission(node, _mappings(mappings, problems))
    place = node.place if node is not None else Place(1, 1)
    problems.add(place, "wrong-shape", "this takes the name of an event, or {event: NAME, with: {...}}")
    return None


def _mappings(node: Node | None, problems: Problems) -> tuple[tuple[Text, Text], ...]:
    if node is None:
        return ()
    if not isinstance(node, Table):
        problems.add(node.place, "wrong-shape", "with: takes a table of fields: {amount: steps.take_payment.amount}")
        return ()
    pairs = []
    for key, value in node.entries.values():
        if isinstance(value, Text) and value.value:
            pairs.append((key, value))
        else:
            problems.add(value.place, "wrong-shape", f"with: {key.value} takes one expression")
    return tuple(pairs)
