"""How soon a killed process is back at work, and how long readers wait for what it left open."""

from pathlib import Path

import pytest

from choreo.log.kafka import KafkaLog
from tests.chaos.place import Place
from tests.chaos.recovery import crowded, exact, recover
from tests.kafka.broker import Broker

BACK_S = 3.0
HELD_S = 2.0
FAULTS = ("checkpoint.appended:8", "checkpoint.offsets_sent:8", "", "checkpoint.committed:8")


@pytest.mark.kafka
@pytest.mark.timeout(200)
def test_a_killed_process_is_back_soon_and_holds_nobody_back(own_broker: Broker, tmp_path: Path) -> None:
    """A worker that is killed with -9, inside a transaction too, and started again publishes within 3 s; a
    read-committed reader of its output never stands still for more than 2 s; nothing is lost or said twice.

    On a crowded machine the limits grow by as much as the start of a process takes longer than its CPU time.
    """
    place = Place.make(tmp_path, f"kafka://{own_broker.bootstrap}", ["tests.chaos.echo"])
    place.ask("topics", "apply", "tests.chaos.echo:echo")
    slower = crowded()
    with KafkaLog.from_url(place.log_url) as log:
        found = recover(place, log, own_broker.bootstrap, FAULTS)
    slower = max(slower, crowded())
    print(f"back after {found.back_s} s, held back {found.held}, machine {slower:.1f} times slower than alone")
    assert len(found.back_s) == len(FAULTS)
    assert max(found.back_s) <= BACK_S * slower
    assert found.held is not None
    assert 0 < found.held.seconds <= HELD_S * slower
    assert exact(found)
