"""The same rebuild on a real Kafka: only --log changes."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Choreo, process
from tests.cli.test_rebuild import GROWN, MENDED, SHOP, TWICE, WHY, Till
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url

pytestmark = pytest.mark.kafka
RUN = ("run", "till.py", "--until-idle", "--start-from", "earliest")


@pytest.mark.timeout(240)
def test_a_rebuild_on_kafka(directory: Path, choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mended logic, a crash after the commit, another machine and a gained field: each ends with stores that verify."""
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    till = Till(directory, choreo)
    till.write(SHOP)
    orders = [("a", 1), ("b", 2), ("c", 3), ("d", 0), ("a", 4), ("e", 5)]
    lines = [json.dumps({"order_id": order_id, "pieces": pieces}) for order_id, pieces in orders]
    choreo("emit", "till.py:Ordered", "-", text="\n".join(lines))
    till.choreo(*RUN)
    till.write(MENDED)
    rows = [json.loads(line) for line in till.rebuild("--dry-run", "--json").stdout.splitlines()]
    assert sum(row["put"] for row in rows) == 4 + 4
    died = process("replay", "rebuild", "till", "till.py", *WHY, CHOREO_FAULT="replace.committed:1")
    assert died.wait(120) == -signal.SIGKILL, died.communicate()
    till.choreo(*RUN)
    assert till.totals() == TWICE
    till.rebuild(*WHY)
    assert till.totals() == TWICE
    assert "clean" in till.verified()
    till.lose_disk()
    till.choreo(*RUN)
    assert till.totals() == TWICE
    till.write(GROWN)
    assert "note: was added and has no default" in till.choreo(*RUN, code=1).stderr
    till.rebuild(*WHY)
    till.choreo(*RUN)
    assert "clean" in till.verified()
