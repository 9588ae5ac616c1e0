"""Typed, stateful, exactly-once on Kafka, with journal and envelope, against the raw loop and Quix Streams.

The workload is that of ../shared/bench; every program has the same broker and topic, and they take turns. A figure is
the median of its repeats. `events.cpu` is the program's CPU an event: other work on the machine disturbs a rate more.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from benchmarks.compiled import compiled_site
from benchmarks.figure import Baseline, Figure, Size
from benchmarks.machine import HERE, broker, say, scratch
from benchmarks.peers import Outcome, Peer, load, quix_python, run, shared
from choreo.runtime.options import RunOptions

FULL, QUICK = Size(600_000, repeats=3), Size(10_000)
PLACES = ("{src}", "{dst}", "{group}")
RAW, QUIX, CHOREO, WHOLE, COMPILED = "raw", "quix", "choreo.bench", "choreo.whole", "choreo.compiled"


def figures(size: Size) -> Iterator[Figure]:
    """`events` and `events.cpu` against both peers; `events.whole` for a class with every field of the order,
    `events.compiled` for the compiled wheel.
    """
    peers = _peers()
    with broker() as bootstrap, scratch() as place:
        topic = f"{place.name}-orders"
        load(bootstrap, topic, size.count)
        runs: dict[str, list[Outcome]] = {peer.name: [] for peer in peers}
        for number in range(size.repeats):
            for peer in peers:
                outcome = run(peer, bootstrap, topic, size.count, place)
                say(f"{number + 1}/{size.repeats} {peer.name:14} {outcome.events_s:8,.0f}/s {outcome.cpu_us:6.1f} us")
                runs[peer.name].append(outcome)
    commits = {peer.name: peer.commit_ms for peer in peers}
    terms = {"n": size.count, "repeats": size.repeats, "commit_interval_ms": commits}
    yield from _against(runs, terms)


def _peers() -> Sequence[Peer]:
    python, own = sys.executable, RunOptions().checkpoint_interval_s * 1000
    program = (python, str(HERE / "kill_program.py"), *PLACES)
    return (
        Peer(RAW, (python, str(shared("raw_eos.py")), *PLACES), 1000, (("CHANGELOG", "1"),)),
        Peer(CHOREO, program, own),
        Peer(COMPILED, program, own, (("PYTHONPATH", str(compiled_site())),)),
        Peer(QUIX, (str(quix_python()), str(shared("quix_eos.py")), *PLACES), 1000),
        Peer(WHOLE, (*program, "whole"), own),
    )


def _against(runs: Mapping[str, Sequence[Outcome]], terms: Mapping[str, object]) -> Iterator[Figure]:
    rates = {name: median(outcome.events_s for outcome in found) for name, found in runs.items()}
    costs = {name: median(outcome.cpu_us for outcome in found) for name, found in runs.items()}
    raw, quix = "raw loop with changelog", "Quix Streams exactly-once"
    yield Figure("events.of_raw", rates[CHOREO], "events/s", Baseline(raw, rates[RAW]), terms)
    yield Figure("events.of_quix", rates[CHOREO], "events/s", Baseline(quix, rates[QUIX]), terms)
    yield Figure("events.cpu.of_raw", costs[CHOREO], "us/event", Baseline(raw, costs[RAW]), terms)
    yield Figure("events.cpu.of_quix", costs[CHOREO], "us/event", Baseline(quix, costs[QUIX]), terms)
    yield Figure("events.compiled.of_raw", rates[COMPILED], "events/s", Baseline(raw, rates[RAW]), terms)
    yield Figure("events.compiled.of_quix", rates[COMPILED], "events/s", Baseline(quix, rates[QUIX]), terms)
    yield Figure("events.compiled.cpu", costs[COMPILED], "us/event", Baseline(raw, costs[RAW]), terms)
    yield Figure("events.whole", rates[WHOLE], "events/s", Baseline(raw, rates[RAW]), terms)
    yield Figure("events.whole.cpu", costs[WHOLE], "us/event", Baseline(raw, costs[RAW]), terms)
    yield Figure("events.memory", max(outcome.rss_mb for outcome in runs[CHOREO]), "MB", terms=terms)
