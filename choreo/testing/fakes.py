"""Fakes: the dependencies that a test gives to its services, put back so that each world starts from the same ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from random import Random
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_LEFT_ALONE = (type, ModuleType, FunctionType, BuiltinFunctionType, str, bytes, int, float, type(None))
Restore = Callable[[], None]


class Snapshot:
    """What all objects that can be reached from these hold now. The objects stay the same ones; nothing is copied.

    Seen are lists, dicts, sets, deques, `random.Random` and the attributes of any other object.
    """

    def __init__(self, roots: Iterable[object]) -> None:
        self._restores: list[Restore] = []
        self._seen: dict[int, object] = {}
        waiting = list(roots)
        while waiting:
            thing = waiting.pop()
            if id(thing) in self._seen or isinstance(thing, _LEFT_ALONE):
                continue
            self._seen[id(thing)] = thing  # kept, so that no other object gets its id
            waiting += self._note(thing)

    def restore(self) -> None:
        """Put everything back."""
        for restore in self._restores:
            restore()

    def _note(self, thing: Any) -> Iterator[object]:
        """Remember what it holds; answers what can be reached from it."""
        if isinstance(thing, MethodType):
            yield thing.__self__
            return
        if isinstance(thing, tuple | frozenset):
            yield from thing
        elif isinstance(thing, list | deque):
            yield from self._keep(list(thing), thing.clear, thing.extend)
        elif isinstance(thing, set):
            yield from self._keep(set(thing), thing.clear, thing.update)
        elif isinstance(thing, dict):
            yield from self._keep(dict(thing), thing.clear, thing.update).values()
        elif isinstance(thing, Random):
            state = thing.getstate()
            self._restores.append(lambda: thing.setstate(state))
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            yield from self._keep(dict(attributes), attributes.clear, attributes.update).values()
        for name in _slots(type(thing)):
            if hasattr(thing, name):
                yield self._keep_slot(thing, name)

    def _keep(self, held: Any, clear: Callable[[], object], fill: Callable[[Any], object]) -> Any:
        def restore() -> None:
            clear()
            fill(held)

        self._restores.append(restore)
        return held

    def _keep_slot(self, thing: object, name: str) -> object:
        held: object = getattr(thing, name)
        self._restores.append(lambda: object.__setattr__(thing, name, held))
        return held


def _slots(cls: type) -> list[str]:
    """The attributes that its own code keeps outside of `__dict__`."""
    named = [cls.__dict__.get("__slots__", ()) for cls in cls.__mro__ if cls.__module__ != "builtins"]
    flat = [name for slots in named for name in ((slots,) if isinstance(slots, str) else slots)]
    return [name for name in flat if not name.startswith("__")]
