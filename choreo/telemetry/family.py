"""The processes of `--workers N` as one: asks each child's endpoint, and is well where all of them are."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

from choreo.telemetry.endpoint import Address
from choreo.telemetry.health import Verdict

ANSWER_WITHIN_S = 2.0


class _Reply(NamedTuple):
    child: int
    said: Mapping[str, Any] | None
    """None where it did not answer."""


class FamilyWatch:
    """Asks children over HTTP, all at once. One that does not answer is not ready, nor live if it ever answered."""

    def __init__(self, children: Sequence[Address]) -> None:
        self._children = tuple(children)
        self._known: set[int] = set()
        """Children that have answered once: the others are still starting."""

    def live(self) -> Verdict:
        replies = self._ask("/healthz")
        return _together([reply for reply in replies if reply.said is not None or reply.child in self._known])

    def ready(self) -> Verdict:
        return _together(self._ask("/readyz"))

    def status(self) -> dict[str, object]:
        """`workers`: the status of each child, None where it does not answer."""
        replies = self._ask("/status")
        return {
            "live": all(reply.said is not None and reply.said["live"] for reply in replies),
            "ready": all(reply.said is not None and reply.said["ready"] for reply in replies),
            "workers": [reply.said for reply in replies],
        }

    def _ask(self, path: str) -> list[_Reply]:
        with ThreadPoolExecutor(len(self._children)) as pool:
            said = pool.map(lambda child: _asked(child, path), self._children)
            replies = [_Reply(number, answer) for number, answer in enumerate(said)]
        self._known |= {reply.child for reply in replies if reply.said is not None}
        return replies


def _asked(child: Address, path: str) -> Mapping[str, Any] | None:
    connection = HTTPConnection(child.host, child.port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", path)
        said: Mapping[str, Any] = json.loads(connection.getresponse().read())
        return said
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _together(replies: Sequence[_Reply]) -> Verdict:
    problems = [f"worker {reply.child} does not answer" for reply in replies if reply.said is None]
    for reply in replies:
        problems += [f"worker {reply.child}: {problem}" for problem in (reply.said or {}).get("problems", ())]
    return Verdict(not problems, tuple(problems))
