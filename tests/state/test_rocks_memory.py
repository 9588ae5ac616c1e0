"""What the stores of one process hold in memory: one cache and small write buffers, however many tasks there are."""

from pathlib import Path

from choreo.state.rocks import WRITE_BUFFER_BYTES, RocksBackend, RocksBackends

TASKS = 8
CACHE_BYTES = 1 << 20


def test_all_tasks_share_one_cache(tmp_path: Path) -> None:
    """Eight tasks read more than fits: the blocks of all of them together stay within the bytes of one cache."""
    backends = RocksBackends(tmp_path, cache_bytes=CACHE_BYTES)
    opened = [backends.open(f"stock-{number}") for number in range(TASKS)]
    for backend in opened:
        assert isinstance(backend, RocksBackend)
        for part in range(20):
            backend.write({b"%d-%d" % (part, number): b"%d" % number * 40 for number in range(300)})
        backend._db.flush()
        assert sum(1 for _ in backend.scan()) == 6_000
    databases = [backend._db for backend in opened if isinstance(backend, RocksBackend)]
    assert {db.property_int_value("rocksdb.block-cache-capacity") for db in databases} == {CACHE_BYTES}
    usages = {db.property_int_value("rocksdb.block-cache-usage") or 0 for db in databases}
    assert len(usages) == 1, "each has a cache of its own"
    assert 0 < usages.pop() <= CACHE_BYTES * 3 // 2
    buffers = [db.property_int_value("rocksdb.size-all-mem-tables") for db in databases]
    assert all(size is not None and size <= WRITE_BUFFER_BYTES for size in buffers)
    backends.close()
