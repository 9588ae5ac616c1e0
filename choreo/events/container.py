"""Avro object container files: the schema in their head, and their rows, whatever else their head holds.

fastavro's own reader takes all of the head for text; a file may keep any bytes there. Files of the format before
Avro 1.3 have their head at the end.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from choreo.errors import SchemaError
from choreo.events.strict import Reader

OLD_MAGIC, MAGIC = b"Obj\0", b"Obj\x01"
SYNC = 16
"""Bytes that stand behind each block."""
_HEAD = {"type": "map", "values": "bytes"}
_BLOCK = {
    "type": "record",
    "name": "Block",
    "fields": [{"name": "n", "type": "long"}, {"name": "rows", "type": "bytes"}],
}
_FOOTER = -1
"""In place of a number of rows: the footer follows."""
Unpack = Callable[[bytes], bytes]


class Container(NamedTuple):
    """One file: the schema of its rows, and how these are read."""

    schema: Any
    read: Callable[[], Iterator[Any]]

    def rows(self) -> Iterator[Any]:
        """Every row, as fastavro gives it. Raises SchemaError for a damaged file and an unknown codec."""
        return self.read()


def open_container(file: Path) -> Container:
    """The head of a container file. Raises SchemaError for a file that is none."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SchemaError(f"{file} can't be read", why=error.strerror) from error
    if not content.startswith((OLD_MAGIC, MAGIC)):
        why = f"it begins with {content[:4].hex(' ') or 'nothing'}"
        raise SchemaError(f"{file.name} is no Avro container file", at=file, why=why, hint="avro-tools can convert it")
    try:
        stream = BytesIO(content)
        return _opened(stream) if content.startswith(MAGIC) else _old(stream)
    except Exception as error:  # garbage makes fastavro and json raise anything
        why = f"{type(error).__name__}: {error}"
        raise SchemaError(f"the head of {file.name} is damaged", at=file, why=why) from error


def _opened(stream: BytesIO) -> Container:
    stream.seek(len(MAGIC))
    head = _head(stream)
    codec = head.get("avro.codec", b"null").decode()
    schema, sync = json.loads(head["avro.schema"]), stream.read(SYNC)
    return Container(schema, partial(_rows, schema, codec, sync, stream.read()))


def _old(stream: BytesIO) -> Container:
    """A file of Avro 1.2: its last four bytes (big endian) say how long the footer is that holds the head.

    Source: what Avro's own DataFileReader12 reads.
    """
    content = stream.getvalue()
    stream.seek(len(content) - int.from_bytes(content[-4:], "big"))
    head = _head(stream)
    if (codec := head.get("codec", b"null").decode()) != "null":
        raise ValueError(f"files of Avro 1.2 are not packed, this one by {codec}")
    schema = json.loads(head["schema"])
    return Container(schema, partial(_old_rows, schema, head["sync"], int(head["count"]), content))


def _head(stream: BytesIO) -> Mapping[str, bytes]:
    (found,) = Reader(_HEAD).some(stream, 1)
    return {str(name): bytes(value) for name, value in found.items()}


def _rows(schema: Any, codec: str, sync: bytes, packed: bytes) -> Iterator[Any]:
    unpack, reader, head, blocks = _unpacker(codec), Reader(schema), Reader(_BLOCK), BytesIO(packed)
    while blocks.tell() < len(packed):
        try:
            (block,) = head.some(blocks, 1)
            rows = BytesIO(unpack(block["rows"]))
            found = reader.some(rows, block["n"])
        except Exception as error:  # garbage makes codecs and fastavro raise anything
            raise _damaged(blocks, str(error)) from error
        if blocks.read(SYNC) != sync or rows.read(1):
            raise _damaged(blocks, "a block ends elsewhere")
        yield from found


def _old_rows(schema: Any, sync: bytes, count: int, content: bytes) -> Iterator[Any]:
    """Each block: the sync mark, the number of rows, the rows."""
    reader, number, blocks, read = Reader(schema), Reader("long"), BytesIO(content), 0
    blocks.seek(len(OLD_MAGIC))
    while True:
        try:
            begins_well = blocks.read(SYNC) == sync
            (n,) = number.some(blocks, 1)
            found = [] if n == _FOOTER else reader.some(blocks, n)
        except Exception as error:  # as above
            raise _damaged(blocks, str(error)) from error
        if not begins_well:
            raise _damaged(blocks, "a block begins elsewhere")
        if n == _FOOTER:
            break
        read += n
        yield from found
    if read != count:
        raise _damaged(blocks, f"it has {read} rows and says {count}")


def _damaged(blocks: BytesIO, why: str) -> SchemaError:
    return SchemaError("the file is damaged", at=f"byte {blocks.tell()} of its blocks", why=why)


def _unpacker(codec: str) -> Unpack:
    if codec == "null":
        return bytes
    if codec == "deflate":
        return lambda packed: zlib.decompress(packed, wbits=-15)
    if codec == "bzip2":
        import bz2

        return bz2.decompress
    if codec == "xz":
        import lzma

        return lzma.decompress
    if codec not in ("snappy", "zstandard"):
        known = "null, deflate, bzip2, xz, snappy or zstandard"
        raise SchemaError(f"{codec} is no codec that Choreo unpacks", hint=known)
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
