"""What a store knows about itself, and when that says that it can't be trusted."""

from typing import Any

import pytest

from choreo.errors import StateError
from choreo.state.keys import is_local
from choreo.state.memory import MemoryBackends
from choreo.state.meta import META_KEY, Facts, TaskMeta, meta_entry, read_meta, wipe_reason

HOUR = 3_600_000_000
META = TaskMeta(
    service="stock",
    cluster_id="c1",
    changelog_topic_id="t1",
    partitions=4,
    changelog_offset=100,
    checkpoint=7,
    last_now=5,
    written_at=1_000 * HOUR,
    build="b1",
)
FACTS = Facts(
    service="stock",
    cluster_id="c1",
    changelog_topic_id="t1",
    partitions=4,
    changelog_end=100,
    now=1_012 * HOUR,
    delete_retention_s=24 * 3600,
)


def test_meta_is_a_local_entry_that_comes_back() -> None:
    """What is written with the entries is read again, and is never in the changelog; a new store has none."""
    backend = MemoryBackends().open("stock-0")
    assert read_meta(backend) is None
    key, value = meta_entry(META)
    assert is_local(key)
    backend.write({key: value})
    assert read_meta(backend) == META


@pytest.mark.parametrize("data", [b"", b"\x02{}", b"\x01{", b"\x01{}", b"\x01[]"])
def test_unreadable_meta_says_what_to_do(data: bytes) -> None:
    """Another format, or damage, is a StateError with a hint."""
    backend = MemoryBackends().open("stock-0")
    backend.write({META_KEY: data})
    with pytest.raises(StateError, match="newer release"):
        read_meta(backend)


def test_a_store_that_fits_is_kept() -> None:
    """Nothing changed and written half of the retention ago: it is kept, also when its changelog has grown."""
    assert wipe_reason(META, FACTS) is None
    assert wipe_reason(META, FACTS._replace(changelog_end=5_000)) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"service": "orders"}, "belongs to service stock, this is orders"),
        ({"cluster_id": "c2"}, "belongs to log c1, this is c2"),
        ({"changelog_topic_id": "t2"}, "deleted and made again"),
        ({"partitions": 7}, "written with 4 partitions, now there are 7"),
        ({"changelog_end": 99}, "ends at 99, before the stored offset 100"),
        ({"now": FACTS.now + 1}, "its last write, 1970-02-11T16:00:00+00:00, is older than half"),
    ],
)
def test_a_store_that_does_not_fit_is_wiped(change: dict[str, Any], reason: str) -> None:
    """Each reason of the design is found, and told in words."""
    found = wipe_reason(META, FACTS._replace(**change))
    assert found is not None
    assert reason in found
