"""Addresses of logs."""

from pathlib import Path

import pytest

from choreo.clock import VirtualClock
from choreo.errors import ConfigError
from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.log.open import open_log
from choreo.record import NewRecord, TopicPartition


def test_memory_opens_a_log_of_its_own() -> None:
    """Every `memory:` is another log, stamped by the clock that was passed in."""
    log = open_log("memory:", VirtualClock(5_000_000))
    assert isinstance(log, MemoryLog)
    log.create_topics([TopicSpec("t", 1)])
    log.append([NewRecord("t", None, b"x")])
    with log.reader({TopicPartition("t", 0): 0}) as reader:
        assert [record.timestamp_ms for record in reader.read(0)] == [5_000]
    assert open_log("memory:").topics() == {}


@pytest.mark.parametrize("query", ["", "?sync=commit"])
def test_embedded_opens_a_directory(tmp_path: Path, query: str) -> None:
    """`embedded:DIR` makes DIR where it is missing; its own address opens it again."""
    with open_log(f"embedded:{tmp_path / 'new' / 'log'}{query}") as log:
        assert isinstance(log, EmbeddedLog)
        cluster, url = log.cluster_id(), log.url
    with open_log(url) as again:
        assert again.cluster_id() == cluster


@pytest.mark.parametrize("url", ["", "redis://x", "embedded:", "embedded:?sync=commit", "embedded:x?sync=no"])
def test_any_other_address_says_what_would_do(url: str) -> None:
    """An address that means no log is a ConfigError that names the three that do."""
    with pytest.raises(ConfigError, match="kafka://"):
        open_log(url)
