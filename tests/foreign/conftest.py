"""The Java peer, and the broker's fixtures."""

import os
import sys
from pathlib import Path

import pytest

from tests.foreign.peer import NoPeerError, Peer
from tests.kafka.fixtures import kafka_bootstrap, kafka_url

__all__ = ["kafka_bootstrap", "kafka_url", "peer"]

_said: list[str] = []


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Peer:
    """Peer.java, compiled; where that can't be, skips with one loud line, and fails with CI=true."""
    classes: Path = tmp_path_factory.mktemp("peer")
    try:
        return Peer(classes)
    except NoPeerError as error:
        line = f"NO JAVA PEER: Choreo is not tested against Java's clients here: {error}"
    if not _said:
        _said.append(line)
        print(f"\n!!! {line} !!!", file=sys.__stderr__, flush=True)
    if os.environ.get("CI") == "true":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)
