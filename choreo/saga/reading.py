"""From YAML nodes to a `RawSpec`: known keys, right shapes, durations. Names are looked up by `checking.py`."""

from typing import Any

from choreo.saga.almanac import read_calendars
from choreo.saga.human import read_human
from choreo.saga.keys import Keys
from choreo.saga.policy_reading import read_policies
from choreo.saga.problems import Place, Problems
from choreo.saga.raw import (
    Limit,
    RawCompensation,
    RawEmission,
    RawFanOut,
    RawIsolation,
    RawOrder,
    RawReminder,
    RawRepetition,
    RawSpec,
    RawStep,
    RawTellings,
    RawTimeout,
)
from choreo.saga.shapes import (
    ASK_KEYS,
    CANCELLATION_KEYS,
    COMPENSATION_KEYS,
    EMISSION_KEYS,
    ISOLATION_KEYS,
    NESTED,
    NO_COMPENSATION,
    ON_TIMEOUT,
    ORDER_KEYS,
    REMIND_KEYS,
    REPEAT_KEYS,
    REST,
    RETRY_KEYS,
    SAGA_NAME,
    SPEC_KEYS,
    STEP_KEYS,
    STEP_TELL_KEYS,
    TELL_KEYS,
    TIMEOUT_KEYS,
    Shape,
)
from choreo.saga.shapes import Keys as Known
from choreo.saga.yaml import Items, Node, Table, Text

EVERY_EVENT = ""
OF_ITEMS = {"item_key": Shape.WORD, "adds_on": Shape.EVENTS, "complete": Shape.SHARE, "rest": Shape.REST}
"""What a step says of its items, beside for_each."""


def read_spec(table: Table, problems: Problems) -> RawSpec | None:
    """The spec of a file's top table; None where not even its name, start or key can be read. Fills `problems`."""
    keys = Keys(table, problems, "a saga", SPEC_KEYS)
    name = keys.text("saga")
    if name and not SAGA_NAME.fullmatch(name.value):
        said = f"{name.value} is not a saga's name: lower-case letters, digits and _ only"
        problems.add(name.place, "not-a-name", said)
    starts_on = keys.text("starts_on")
    namespace = keys.text("namespace")
    cancels_on, refused = _cancellation(keys, "cancels_on")
    compensates_on, kept = _cancellation(keys, "compensates_on")
    correlate_by = _correlation(keys, problems)
    steps = _steps(keys, table, problems)
    if name is None or starts_on is None:
        return None
    return RawSpec(
        name=name,
        version=keys.number("version", 1),
        namespace=namespace.value if namespace else "",
        starts_on=starts_on,
        correlate_by=correlate_by,
        isolate_on=_isolation(keys),
        remember=keys.names("remember"),
        within=keys.passing("within"),
        deadline=keys.time("deadline"),
        calendars=read_calendars(keys),
        calendar=keys.text("calendar"),
        cancels_on=cancels_on,
        refused=refused,
        compensates_on=compensates_on,
        kept=kept,
        cancellable_until=keys.text("cancellable_until"),
        tells=_tellings(keys, Shape.TELLINGS, TELL_KEYS),
        policies=read_policies(keys),
        keep_early=keys.limit("keep_early"),
        keep_ended=keys.limit("keep_ended"),
        refuse_again=keys.limit("refuse_again"),
        steps=steps,
        place=table.place,
    )


def _correlation(keys: Keys, problems: Problems) -> tuple[tuple[Text, Text], ...]:
    node = keys.node("correlate_by", Shape.CORRELATION)
    if isinstance(node, Table):
        if not node.entries:
            problems.add(node.place, "wrong-shape", "correlate_by takes a field, or a table: event -> field")
        return _words(node, "correlate_by", "the name of a field", problems)
    text = keys.text("correlate_by", Shape.CORRELATION)
    return ((Text(EVERY_EVENT, text.place), text),) if text else ()


def _isolation(keys: Keys) -> RawIsolation | None:
    node = keys.node("isolate_on", Shape.ISOLATION)
    if not isinstance(node, Table):
        text = keys.text("isolate_on", Shape.ISOLATION)
        return RawIsolation(text) if text else None
    inner = Keys(node, keys.problems, "isolate_on", ISOLATION_KEYS)
    by, scope = inner.text("by"), inner.text("scope")
    if scope and not SAGA_NAME.fullmatch(scope.value):
        said = f"{scope.value} is not a scope's name: lower-case letters, digits and _ only"
        keys.problems.add(scope.place, "not-a-name", said)
    return RawIsolation(by, scope, inner.passing("within"), _finite(inner, "expires")) if by else None


def _cancellation(keys: Keys, key: str) -> tuple[Text | None, RawEmission | None]:
    """The event that asks for it, and what answers where it is too late."""
    node = keys.node(key, Shape.CANCELLATION)
    if not isinstance(node, Table):
        emission = _emission(node, None, keys.problems) if node is not None else None
        return (emission.event if emission else None), None
    inner = Keys(node, keys.problems, key, CANCELLATION_KEYS)
    return inner.text("event"), _emitted(inner, "refused")


def _steps(keys: Keys, table: Table, problems: Problems) -> tuple[RawStep, ...]:
    node = keys.node("steps", Shape.STEPS)
    if not isinstance(node, Items) or not node.values:
        place = node.place if node is not None else table.place
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
    name = keys.text("name")
    compensate = keys.node("compensate", Shape.COMPENSATION)
    says_none = isinstance(compensate, Text) and compensate.value == NO_COMPENSATION
    if name is None:
        return None
    return RawStep(
        name=name,
        after=_order(keys, problems),
        when=keys.text("when"),
        during=keys.text("while"),
        excludes=keys.names("excludes"),
        otherwise=keys.names("else"),
        for_each=_fan_out(keys),
        emit=_emitted(keys, "emit"),
        human=read_human(keys),
        saga=_nested(keys),
        hands=_mappings(keys.node("with", Shape.MAPPINGS), problems),
        completes_on=keys.names("completes_on"),
        fails_on=keys.names("fails_on"),
        unknown_on=keys.names("unknown_on"),
        skips_on=keys.names("skips_on"),
        reopens_on=keys.names("reopens_on"),
        repeat=_repetition(keys),
        not_before=keys.beginning("not_before"),
        within=keys.time("within"),
        deadline=keys.time("deadline"),
        calendar=keys.text("calendar"),
        on_timeout=_on_timeout(keys.node("on_timeout", Shape.TIMEOUT), problems),
        remind=_reminder(keys),
        compensate=None if compensate is None or says_none else _compensation(compensate, problems),
        says_compensate=compensate is not None,
        pivot=keys.flag("pivot"),
        tells=_tellings(keys, Shape.STEP_TELLINGS, STEP_TELL_KEYS),
    )


def _nested(keys: Keys) -> Text | None:
    saga = keys.text("saga", Shape.NESTED)
    if saga and not NESTED.fullmatch(saga.value):
        said = f"{saga.value} is no saga: its name, or its name and least version"
        keys.problems.add(saga.place, "not-a-name", said, "saga: shipping, or shipping@2")
    return saga


def _order(keys: Keys, problems: Problems) -> RawOrder:
    node = keys.node("after", Shape.ORDER)
    if not isinstance(node, Table):
        return RawOrder(keys.names_in("after", node))
    inner = Keys(node, problems, "after", ORDER_KEYS)
    one_of, some = inner.names("any"), inner.names("of")
    if one_of and not some and inner.node("at_least", Shape.NUMBER) is None:
        return RawOrder(one_of, 1)
    enough = inner.number("at_least", 1)
    if one_of or not some:
        cure = "after: a, [a, b], {any: [a, b]} or {at_least: 2, of: [a, b, c]}"
        problems.add(node.place, "wrong-shape", "this does not say which steps come before", cure)
    elif enough > len(some):
        said = f"at least {enough} of {len(some)} steps can never be done"
        problems.add(node.place, "never-enough", said, f"at_least: {len(some)} or less")
    return RawOrder(one_of or some, enough)


def _on_timeout(node: Node | None, problems: Problems) -> RawTimeout:
    if node is None:
        return RawTimeout()
    if isinstance(node, Text) and node.value in ON_TIMEOUT:
        plain = {"fail": RawTimeout(), "escalate": RawTimeout("escalate"), "retry": RawTimeout("retry", 3)}
        return plain[node.value]
    if isinstance(node, Table):
        keys = Keys(node, problems, "on_timeout", TIMEOUT_KEYS)
        retry, ask = keys.node("retry", Shape.RETRY), keys.node("ask", Shape.ASKING)
        if isinstance(retry, Table) and ask is None:
            keys = Keys(retry, problems, "retry", RETRY_KEYS)
            return RawTimeout(
                "retry",
                keys.number("attempts", 3),
                keys.limit("wait"),
                backoff=keys.number("backoff", 1),
                longest=keys.passing("longest"),
            )
        if isinstance(ask, Table) and retry is None:
            keys = Keys(ask, problems, "ask", ASK_KEYS)
            asks = _emitted(keys, "emit")
            return RawTimeout("ask", keys.number("attempts", 3), _finite(keys, "within"), asks)
    cure = "on_timeout: fail, escalate, {retry: {attempts: 3, wait: 30s}} or {ask: {emit: EVENT, within: 1m}}"
    problems.add(node.place, "wrong-shape", "this is no answer to a timeout", cure)
    return RawTimeout()


def _finite(keys: Keys, key: str) -> Limit | None:
    """A duration that is one: not `none`, nor nothing at all."""
    limit, node = keys.limit(key), keys.node(key, Shape.PASSING)
    if limit is not None and not limit.micros and node is not None:
        keys.problems.add(node.place, "not-a-duration", f"{key} takes a time that passes: 30s, 5m, 2h, 1d")
        return None
    return limit


def _fan_out(keys: Keys) -> RawFanOut | None:
    items, complete, rest = keys.text("for_each"), keys.text("complete", Shape.SHARE), keys.text("rest", Shape.REST)
    key, adds_on = keys.text("item_key"), keys.names("adds_on")
    if rest and rest.value not in REST:
        keys.problems.add(rest.place, "wrong-shape", f"rest is one of {', '.join(REST)}, not {rest.value}")
    if items is None:
        about = (keys.node(name, shape) for name, shape in OF_ITEMS.items())
        if stray := next((node for node in about if node is not None), None):
            said = "only a step with for_each has items"
            keys.problems.add(stray.place, "no-items", said, "add for_each: saga.FIELD, the list")
        return None
    if key is None:
        cure = "add item_key: FIELD, which the items and the events of the step have"
        keys.problems.add(items.place, "no-item-key", "nothing tells the items apart", cure)
        return None
    at_least, percent = _share(keys, complete)
    left: Any = rest.value if rest else "leave"
    return RawFanOut(items, key, adds_on, at_least, percent, left)


def _share(keys: Keys, text: Text | None) -> tuple[int | None, int]:
    """How many items, or else how many percent of them."""
    value = "all" if text is None else text.value
    if value == "all":
        return None, 100
    if value == "any":
        return 1, 100
    number = value.removesuffix("%")
    if number.isdecimal() and int(number) >= 1 and (number == value or int(number) <= 100):
        return (int(number), 100) if number == value else (None, int(number))
    assert text is not None
    keys.problems.add(text.place, "wrong-shape", f"complete is all, any, 3 or 80%, not {value}")
    return None, 100


def _repetition(keys: Keys) -> RawRepetition | None:
    inner = keys.inner("repeat", Shape.REPETITION, REPEAT_KEYS, ": {until: CONDITION, at_most: 5}")
    until = inner.text("until") if inner else None
    return RawRepetition(until, inner.number("at_most", 1)) if inner and until else None


def _reminder(keys: Keys) -> RawReminder | None:
    inner = keys.inner("remind", Shape.REMINDER, REMIND_KEYS, ": {emit: EVENT, every: 1d, at_most: 3}")
    if inner is None:
        return None
    emission, every = _emitted(inner, "emit"), _finite(inner, "every")
    return RawReminder(emission, every, inner.number("at_most", 3)) if emission and every else None


def _compensation(node: Node, problems: Problems) -> RawCompensation | None:
    if not isinstance(node, Table):
        cure = "compensate: {emit: ..., done_on: ...}, or none"
        problems.add(node.place, "wrong-shape", "a compensation is a table, or none", cure)
        return None
    keys = Keys(node, problems, "compensate", COMPENSATION_KEYS)
    emission = _emitted(keys, "emit", keys.node("with", Shape.MAPPINGS))
    if emission is None:
        return None
    return RawCompensation(
        emit=emission,
        done_on=keys.names("done_on"),
        fails_on=keys.names("fails_on"),
        within=keys.passing("within"),
        attempts=keys.number("attempts", 3),
        wait=keys.limit("wait"),
        backoff=keys.number("backoff", 1),
        longest=keys.passing("longest"),
        after=keys.names("after") if keys.node("after", Shape.NAMES) is not None else None,
    )


def _emitted(keys: Keys, key: str, mappings: Node | None = None) -> RawEmission | None:
    """What is emitted under a key; `mappings` stand in for those that it does not have itself."""
    node = keys.node(key, Shape.EMISSION)
    return None if node is None else _emission(node, mappings, keys.problems)


def _emission(node: Node | None, mappings: Node | None, problems: Problems) -> RawEmission | None:
    if isinstance(node, Table):
        keys = Keys(node, problems, "emit", EMISSION_KEYS)
        event, mappings = keys.text("event"), keys.node("with", Shape.MAPPINGS) or mappings
        return RawEmission(event, _mappings(mappings, problems)) if event else None
    if isinstance(node, Text) and node.value:
        return RawEmission(node, _mappings(mappings, problems))
    place = node.place if node is not None else Place(1, 1)
    problems.add(place, "wrong-shape", "this takes the name of an event, or {event: NAME, with: {...}}")
    return None


def _tellings(keys: Keys, shape: Shape, known: Known) -> RawTellings:
    inner = keys.inner("tell", shape, known, f" of events: {{{next(iter(known))}: EVENT}}")
    told = ((moment, _emitted(inner, moment)) for moment in known) if inner else ()
    return tuple((moment, emission) for moment, emission in told if emission is not None)


def _mappings(node: Node | None, problems: Problems) -> tuple[tuple[Text, Text], ...]:
    if node is None:
        return ()
    if not isinstance(node, Table):
        problems.add(node.place, "wrong-shape", "with: takes a table of fields: {amount: steps.take_payment.amount}")
        return ()
    return _words(node, "with", "one expression", problems)


def _words(table: Table, where: str, what: str, problems: Problems) -> tuple[tuple[Text, Text], ...]:
    """The keys of a table with the words that they map to; what is no word is a problem: it should be `what`."""
    pairs = []
    for key, value in table.entries.values():
        if isinstance(value, Text) and value.value:
            pairs.append((key, value))
        else:
            problems.add(value.place, "wrong-shape", f"{where}: {key.value} takes {what}")
    return tuple(pairs)
