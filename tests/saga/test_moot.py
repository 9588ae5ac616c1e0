"""What an exploration forgets as moot changes nothing of what it finds: held against exploring without forgetting."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import pytest

from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input, Received
from choreo.saga.draft import short
from choreo.saga.explore import Bounds, Node, Run, explore
from choreo.saga.instance import Instance, StepState
from choreo.saga.items import whole_in
from choreo.saga.moot import Decide, Matters
from choreo.saga.rules import Spec
from choreo.saga.variants import variants
from tests.saga.flow import CATALOGUE, flow, step

ONE_TOPIC = dict.fromkeys(CATALOGUE, "flow.work")
MOST = 4_000


class Seen(NamedTuple):
    """All that an exploration comes to: how many states, what is broken, and how sagas stand when nothing can follow."""

    states: int
    broken: set[tuple[str, str]]
    ends: set[tuple[str, ...]]


def everything(
    spec: Spec, lanes: Mapping[str, str] | None, bounds: Bounds, decide: Decide = decide, *, forgets: bool
) -> Seen:
    """Every state there is, and behind no broken one; not just up to the first broken promise."""
    seen = Seen(0, set(), set())
    for variant in variants(spec):
        run = Run(variant, lanes, decide, forgets=forgets)
        first = run.first(bounds)
        ahead, met = [first], {run.state(first)}
        while ahead:
            node = ahead.pop()
            resting: dict[str, int] = {}
            broken = node.broken or run.resting(node, resting)
            if broken is not None:
                seen.broken.add((broken.promise, broken.says))
                continue
            if resting:
                seen.ends.add(_standing(node))
            for _, new in run.following(node):
                state = run.state(new)
                if state not in met:
                    met.add(state)
                    ahead.append(new)
        seen = seen._replace(states=seen.states + len(met))
        assert seen.states < MOST, "a smaller spec"
    return seen


def _standing(node: Node) -> tuple[str, ...]:
    """How a saga and its steps stand; items are alike."""
    instance, world = node.world.instance, node.world
    if instance is None:
        return ("not started",)
    steps = sorted(f"{whole_in(name)}: {record.state}" for name, record in instance.steps.items())
    return (instance.status, *steps, *sorted(world.deeds))
