"""Stand-ins for what a story called: classes that answer as it was recorded, as source and at work."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from choreo.cli.fork_source import Source, written
from choreo.errors import ConfigError
from choreo.replay.heard import Heard


def fakes_of(heard: Sequence[Heard], source: Source) -> tuple[Mapping[str, object], list[str]]:
    """The stand-ins by the name of the need, and the source of their classes.

    Raises ConfigError for a call that is no method of anything that a handler needs: a test can't replace it.
    """
    by_need: dict[str, dict[str, list[Heard]]] = {}
    for one in heard:
        if one.need is None:
            raise ConfigError(
                f"{getattr(one.function, '__qualname__', one.function)} is called, which no test can replace",
                why="it belongs to nothing that the service provides",
                hint="make it a method of something in provide={...}",
            )
        by_need.setdefault(one.need, {}).setdefault(one.function.__name__, []).append(one)
    texts, fakes = [], {}
    for need, methods in by_need.items():
        texts.append(_source_of(need, methods, source))
        fakes[need] = _fake(need, methods)
    return fakes, texts


def _source_of(need: str, methods: Mapping[str, Sequence[Heard]], source: Source) -> str:
    name = f"Recorded{''.join(part.title() for part in need.split('_'))}"
    lines = [
        f"class {name}:",
        '    """Answers as it was recorded, one after the other."""',
        "",
        "    def __init__(self) -> None:",
    ]
    for method, calls in methods.items():
        kind = source.annotation(get_type_hints(calls[0].function).get("return"))
        kind = f"{kind} | Exception" if any(call.error for call in calls) else kind
        answers = ("[", [_answer(source, call) for call in calls], "]")
        lines.append("        " + written(answers, "        ", f"self.{method}_answers: list[{kind}] = "))
    for method, calls in methods.items():
        lines += ["", *_method(method, calls, source)]
    return "\n".join(lines)


def _answer(source: Source, call: Heard) -> Any:
    if call.error is None:
        return source.value(call.answer)
    return f"{source.name(type(call.error))}({', '.join(map(repr, call.error.args))})"


def _method(name: str, calls: Sequence[Heard], source: Source) -> list[str]:
    function = calls[0].function
    hints = get_type_hints(function)
    parameters = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        kind = source.annotation(hints[parameter.name]) if parameter.name in hints else "object"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parameters.append(f"{parameter.name}: {kind}{default}")
    head = "async def" if inspect.iscoroutinefunction(function) else "def"
    lines = [f"    {head} {name}({', '.join(['self', *parameters])}) -> {source.annotation(hints.get('return'))}:"]
    if not any(call.error for call in calls):
        return [*lines, f"        return self.{name}_answers.pop(0)"]
    return [
        *lines,
        f"        answer = self.{name}_answers.pop(0)",
        "        if isinstance(answer, Exception):",
        "            raise answer",
        "        return answer",
    ]


def _fake(need: str, methods: Mapping[str, Sequence[Heard]]) -> object:
    """The same at work, for the play."""
    return type(need, (), {name: _played(list(calls)) for name, calls in methods.items()})()


def _played(calls: list[Heard]) -> Any:
    function = calls[0].function

    def next_answer() -> Any:
        call = calls.pop(0)
        if call.error is not None:
            raise call.error
        return call.answer

    async def later(self: object, *args: object, **kwargs: object) -> Any:
        return next_answer()

    def now(self: object, *args: object, **kwargs: object) -> Any:
        return next_answer()

    made = later if inspect.iscoroutinefunction(function) else now
    made.__annotations__ = {"return": get_type_hints(function).get("return")}
    return made
