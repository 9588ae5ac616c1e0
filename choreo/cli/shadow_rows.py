"""What a shadow run found, for people and for programs. What is personal is masked."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from choreo.cli.output import as_value
from choreo.cli.records import Bodies, uuid_text
from choreo.cli.store_values import StoreValues
from choreo.clock import iso, to_datetime
from choreo.errors import ChoreoError
from choreo.events.codec import Codec
from choreo.events.registry import Registry
from choreo.record import Record
from choreo.replay.deviations import Deviation, Report, Side, Upon
from choreo.replay.leeway import NewCall
from choreo.replay.naming import Named, Naming
from choreo.telemetry.privacy import masked, shown

SAID = {
    "only new": "emitted by the new code only",
    "missing": "not emitted any more",
    "changed": "emitted with other fields",
    "dead letter": "became a dead letter",
    "no dead letter": "is no dead letter any more",
    "entry": "left another entry",
    "end": "ended otherwise",
}
NOTHING = "nothing"


class Shown:
    """Both sides of a difference as they may be shown."""

    def __init__(self, codec: Codec, registry: Registry, naming: Naming, values: StoreValues) -> None:
        self._codec, self._bodies, self.naming, self._values = codec, Bodies(registry), naming, values

    def of(self, one: Deviation) -> tuple[dict[str, object] | str, dict[str, object] | str]:
        """Both of them."""
        return self._side(one.live, one.name), self._side(one.new, one.name)

    def key(self, one: Deviation) -> str:
        """The key of the event, or of the entry."""
        keys = self._values.keys
        return keys.entry(one.name, one.key) if one.what in ("entry", "end") else keys.event(one.name, one.key)

    def upon(self, cause: Named | Upon) -> Named:
        """What brought something about."""
        return Named(*cause)._replace(key=self._values.keys.cause(cause.place, cause.key))

    def story(self, story: str) -> str:
        """The correlation id."""
        return self._values.keys.story(story)

    def _side(self, side: Side | bytes | None, store: str) -> dict[str, object] | str:
        """An event's fields, or an entry's value."""
        if side is None:
            return NOTHING
        if isinstance(side, bytes):
            found = self._values.plain(store, side)
            return found if isinstance(found, dict) else as_value(found)
        record = Record(side.topic, -1, -1, 0, side.key, side.value, side.headers)
        try:
            found = masked(self._codec.event(record))
            return found if isinstance(found, dict) else str(found)
        except (ChoreoError, ValueError):
            pass
        try:
            return self._bodies.shown(record)
        except ChoreoError:
            return f"{len(side.value or b''):,} bytes that can't be read here"


def report_row(report: Report, sides: Shown) -> dict[str, Any]:
    """All of it, for programs."""
    seen = report.seen
    return {
        "service": report.service,
        "same": report.clean,
        "tasks": report.tasks,
        "checkpoints": report.checkpoints,
        "inputs": report.inputs,
        "emissions": report.emissions,
        "entries": report.entries,
        "us_per_input": round(report.us_per_input, 1),
        "stories": report.causes,
        "consequences": report.consequences,
        "by_handler": _rows(report.by_handler, "handler", "what"),
        "by_event": _rows(report.by_event, "event", "what"),
        "by_saga": _rows(report.by_saga, "saga", "what"),
        "fields": _rows(report.fields, "event", "field"),
        "ends": _rows(report.ends, "live", "new"),
        "failed_attempts": _rows(report.failures, "handler", "error"),
        "new_calls": dict(seen.new_calls),
        "unanswered_calls": dict(seen.unanswered),
        "dropped_calls": dict(seen.dropped_calls),
        "calls": [_call(call, sides) for call in seen.shown],
        "turns": {"new": seen.new_turns, "lost": seen.lost_turns},
        "unread_topics": list(report.unread),
        "not_compared": list(report.partial),
        "in_stories": [sides.story(story) for story in report.stories],
        "most_telling": [_difference(one, count, sides) for one, count in report.most_telling()],
    }


def report_lines(report: Report, sides: Shown) -> list[str]:
    """The same for people: totals, counts, then the differences to look at first."""
    seen = report.seen
    lines = [
        f"{report.service}: {verdict(report)}",
        f"  {report.inputs:,} inputs in {report.checkpoints:,} checkpoints of {report.tasks} tasks, "
        f"{report.emissions:,} events, {report.entries:,} entries; {report.us_per_input:.0f} us an input",
    ]
    lines += [f"  not compared: {said}" for said in report.partial]
    lines += [f"  {topic} was not read live: nothing of it was handled" for topic in report.unread]
    lines += [f"  {count:,} x {handler}: {SAID[what]}" for (handler, what), count in report.by_handler.most_common()]
    lines += [f"  {count:,} x {event}: {SAID[what]}" for (event, what), count in report.by_event.most_common()]
    lines += [f"  {count:,} x {event}.{name} differs" for (event, name), count in report.fields.most_common()]
    lines += [f"  {count:,} x saga {saga}: {SAID[what]}" for (saga, what), count in report.by_saga.most_common()]
    lines += [f"  {count:,} sagas end as {new} instead of {live}" for (live, new), count in report.ends.most_common()]
    lines += [
        f"  {count:,} attempts of {handler} failed: {error}" for (handler, error), count in report.failures.items()
    ]
    for name, count in seen.new_calls.items():
        away = seen.unanswered[name]
        lines.append(f"  {count:,} calls {name} are not in the journal" + (f"; {away:,} got no answer" if away else ""))
    lines += [f"    {line}" for line in _calls(report, sides)]
    lines += [f"  {count:,} calls {name} are not made any more" for name, count in seen.dropped_calls.items()]
    if report.consequences:
        lines.append(f"  {report.consequences:,} further differences stand behind the first of their story")
    for one, count in report.most_telling():
        lines += _difference_lines(one, count, sides)
    return lines


def verdict(report: Report) -> str:
    """In a word or two."""
    if report.clean:
        return "nothing differs" if report.inputs else "nothing was tried: it was given nothing there"
    if not report.causes:
        return "calls differ"
    return "1 story differs" if report.causes == 1 else f"{report.causes:,} stories differ"


def _calls(report: Report, sides: Shown) -> Iterator[str]:
    for call in report.seen.shown:
        upon = sides.upon(sides.naming.cause(call.cause))
        yield f"{call.name}({', '.join(_arguments(call.arguments))}) upon {upon.name} {upon.key}"


def _call(call: NewCall, sides: Shown) -> dict[str, object]:
    upon = sides.upon(sides.naming.cause(call.cause))
    row = {"name": call.name, "arguments": _arguments(call.arguments), "answered": call.answered}
    return row | {"upon": upon._asdict() | {"event_id": uuid_text(upon.event_id)}}


def _arguments(arguments: tuple[object, ...]) -> list[str]:
    return [repr(shown(argument)) for argument in arguments]


def _rows(counts: Counter[Any], first: str, second: str) -> list[dict[str, object]]:
    return [{first: one, second: other, "count": count} for (one, other), count in counts.most_common()]


def _difference(one: Deviation, stories: int, sides: Shown) -> dict[str, object]:
    upon, (live, new) = one.upon and sides.upon(one.upon), sides.of(one)
    return {
        "what": one.what,
        "name": one.name,
        "handlers": list(one.handlers),
        "stories_like_it": stories,
        "story": sides.story(one.story),
        "key": sides.key(one),
        "at": to_datetime(one.at) if one.at else None,
        "fields": list(one.fields),
        "upon": None if upon is None else upon._asdict() | {"event_id": uuid_text(upon.event_id)},
        "live": live,
        "new": new,
    }


def headline(one: Deviation, stories: int, sides: Shown) -> str:
    """What one difference is, and how many stories it stands for."""
    handlers = " or ".join(one.handlers) or "no handler"
    like = f" (one of {stories:,} stories like it)" if stories > 1 else ""
    return f"{one.name} {sides.key(one)} {SAID[one.what]}, {handlers}{like}"


def circumstances(one: Deviation, sides: Shown) -> str:
    """When, upon what and in which story."""
    when = f"at {iso(to_datetime(one.at), 'milliseconds')}, " if one.at else ""
    upon = f"upon {one.upon.name} {sides.upon(one.upon).key} at {one.upon.place}, " if one.upon else ""
    return f"{when}{upon}story {sides.story(one.story)}"


def both(one: Deviation, sides: Shown) -> list[tuple[str, str, str]]:
    """Field by field, live and new, those that differ; the whole where there are no fields on both sides."""
    live, new = sides.of(one)
    if isinstance(live, dict) and isinstance(new, dict):
        names = [name for name in {**live, **new} if live.get(name) != new.get(name)]
        hidden = [name for name in one.fields if name not in names]
        return [(name, as_value(live.get(name)), as_value(new.get(name))) for name in names] + [
            (name, "another value", "another value") for name in hidden
        ]
    whole = live if isinstance(live, dict) else new if isinstance(new, dict) else None
    if whole is None:
        return [("", str(live), str(new))]
    return [
        (name, *((as_value(value), NOTHING) if isinstance(live, dict) else (NOTHING, as_value(value))))
        for name, value in whole.items()
    ]


def _difference_lines(one: Deviation, stories: int, sides: Shown) -> list[str]:
    lines = [headline(one, stories, sides), f"  {circumstances(one, sides)}"]
    return lines + [f"    {name or 'value'}: live {live}, new {new}" for name, live, new in both(one, sides)]
