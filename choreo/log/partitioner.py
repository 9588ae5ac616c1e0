"""Which partition a key belongs to: the same one that Java's client picks, so that producers of both kinds agree."""

from functools import lru_cache

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C


def murmur2(key: bytes) -> int:
    """The 32-bit murmur2 of `key` as Java's `Utils.murmur2` gives it: a signed int.

    Source: Apache Kafka, clients/src/main/java/org/apache/kafka/common/utils/Utils.java.
    """
    length = len(key)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < length:
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    h ^= h >> 15
    return h - (1 << 32) if h >> 31 else h


@lru_cache(maxsize=100_000)
def _partition_of_key(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def partition_of(key: bytes | None, partitions: int, turn: int = 0) -> int:
    """The partition (0 to `partitions` - 1) of a key. Records without a key go round by `turn`, the caller's count."""
    return turn % partitions if key is None else _partition_of_key(key, partitions)
