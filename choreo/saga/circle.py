"""Whether a run can go on for ever: a circle among the states that were looked at."""

from collections.abc import Sequence


def circle(following: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The states of a shortest circle through the first state that lies on one; () where there is none. `following` are
    the states that follow each, by their numbers; those that were not looked at follow nothing.
    """
    for first in sorted(_on_circles(following)):
        found = _back_to(first, following)
        if found:
            return found
    return ()


def _on_circles(following: Sequence[Sequence[int]]) -> set[int]:
    """What is left when states that nothing leads to any more are taken away, again and again (Kahn 1962)."""
    leading = [0] * len(following)
    for states in following:
        for state in states:
            leading[state] += 1
    free = [state for state, count in enumerate(leading) if count == 0]
    left = set(range(len(following)))
    while free:
        state = free.pop()
        left.discard(state)
        for after in following[state]:
            leading[after] -= 1
            if leading[after] == 0:
                free.append(after)
    return left


def _back_to(first: int, following: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The shortest way from a state back to itself, which stands at the front; () where there is none."""
    came_from: dict[int, int] = {}
    edge = [first]
    while edge:
        ahead: list[int] = []
        for state in edge:
            for after in following[state]:
                if after == first:
                    way = [state]
                    while way[-1] != first:
                        way.append(came_from[way[-1]])
                    return tuple(reversed(way))
                if after not in came_from:
                    came_from[after] = state
                    ahead.append(after)
        edge = ahead
    return ()
