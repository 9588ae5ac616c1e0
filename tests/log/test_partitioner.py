"""Keys lie where Java's client puts them."""

import pytest

from choreo.log.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_equals_javas(key: bytes, expected: int) -> None:
    """Every vector of Kafka's own UtilsTest gives the hash that Java gives."""
    assert murmur2(key) == expected


def test_partition_is_the_positive_hash_modulo_the_count() -> None:
    """A negative hash loses its sign bit before the modulo, as Java's toPositive does."""
    assert partition_of(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7
    assert partition_of(b"abc", 4) == 479470107 % 4


def test_records_without_a_key_go_round() -> None:
    """Without a key the caller's count decides, so every partition gets its share and a run can be repeated."""
    assert [partition_of(None, 3, turn) for turn in range(6)] == [0, 1, 2, 0, 1, 2]
