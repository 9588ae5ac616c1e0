"""Avro object container files: the schema in their head, and their rows, whatever else their head holds.

fastavro's own reader takes all of the head for text; a file may keep any bytes there.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from choreo.errors import SchemaError

MAGIC = b"Obj\x01"
_HEAD = parse_schema({"type": "map", "values": "bytes"})
_BLOCK = parse_schema(
    {"type": "record", "name": "Block", "fields": [{"name": "n", "type": "long"}, {"name": "rows", "type": "bytes"}]}
)
_SYNC = 16


class Container(NamedTuple):
    """One file: the schema of its rows, how they are packed, and the rest of it."""

    schema: Any
    codec: str
    sync: bytes
    blocks: bytes

    def rows(self) -> Iterator[Any]:
        """Every row, as fastavro gives it. Raises SchemaError for a damaged file and an unknown codec."""
        unpack, schema, blocks = _unpacker(self.codec), parse_schema(self.schema), BytesIO(self.blocks)
        while blocks.tell() < len(self.blocks):
            try:
                block: Any = schemaless_reader(blocks, _BLOCK, None)
                rows = BytesIO(unpack(block["rows"]))
                found = [schemaless_reader(rows, schema, None) for _ in range(block["n"])]
            except Exception as error:  # garbage makes codecs and fastavro raise anything
                raise SchemaError(
                    "the file is damaged", at=f"byte {blocks.tell()} of its blocks", why=str(error)
                ) from error
            if blocks.read(_SYNC) != self.sync or rows.read(1):
                raise SchemaError(
                    "the file is damaged", at=f"byte {blocks.tell()} of its blocks", why="a block ends elsewhere"
                )
            yield from found


def open_container(file: Path) -> Container:
    """The head of a container file. Raises SchemaError for a file that is none."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SchemaError(f"{file} can't be read", why=error.strerror) from error
    if not content.startswith(MAGIC):
        old = content.startswith(MAGIC[:3])
        why = "it is of a version of the format before Avro 1.3" if old else f"it begins with {content[:4].hex(' ')}"
        raise SchemaError(f"{file.name} is no Avro container file", at=file, why=why, hint="avro-tools can convert it")
    stream = BytesIO(content)
    stream.seek(len(MAGIC))
    try:
        head = _map(stream)
        schema = json.loads(head["avro.schema"])
        codec = head.get("avro.codec", b"null").decode()
    except Exception as error:  # as above
        why = f"{type(error).__name__}: {error}"
        raise SchemaError(f"the head of {file.name} is damaged", at=file, why=why) from error
    return Container(schema, codec, stream.read(_SYNC), stream.read())


def _map(stream: BytesIO) -> Mapping[str, bytes]:
    found: Any = schemaless_reader(stream, _HEAD, None)
    return {str(name): bytes(value) for name, value in found.items()}


def _unpacker(codec: str) -> Callable[[bytes], bytes]:
    if codec == "null":
        return bytes
    if codec == "deflate":
        return lambda packed: zlib.decompress(packed, wbits=-15)
    if codec not in ("snappy", "zstandard"):
        raise SchemaError(f"{codec} is no codec that Choreo unpacks", hint="null, deflate, snappy or zstandard")
    try:
        import cramjam
    except ImportError:
        raise SchemaError(f"{codec} needs a package more", hint="pip install choreo[avro-files]") from None
    if codec == "zstandard":
        return lambda packed: bytes(cramjam.zstd.decompress(packed))
    return lambda packed: _checked(bytes(cramjam.snappy.decompress_raw(packed[:-4])), packed[-4:])


def _checked(plain: bytes, crc: bytes) -> bytes:
    """Avro puts the CRC-32 of what was packed behind a snappy block."""
    if zlib.crc32(plain) != int.from_bytes(crc, "big"):
        raise ValueError("the checksum of a block is wrong")
    return plain
