"""Container files of Avro's and fastavro's own tests are read; what is none says so."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import schemaless_writer, writer

from choreo.errors import SchemaError
from choreo.events.container import MAGIC, open_container
from choreo.events.schema_files import record_in, schema_in
from tests.avro_interop.vectors import avro_directory

OLD = "test.avro12"
"""Of the format before Avro 1.3, which Avro itself no longer writes."""
SCHEMA = {"type": "record", "name": "A", "fields": [{"name": "n", "type": "long"}]}


def container_files() -> list[Path]:
    return sorted(path for path in avro_directory().rglob("*.avro*") if path.suffix == ".avro")


def test_every_container_file_is_read() -> None:
    """Each file gives its rows, whatever its codec and whatever bytes its head holds."""
    counted = {path.name: sum(1 for _ in open_container(path).rows()) for path in container_files()}
    assert len(container_files()) == 50
    known = {
        "syncInMeta.avro": 6001,
        "weather-zstd.avro": 5,
        "weather-snappy.avro": 5,
        "test-snappy.avro": 400,
        "java-generated-uuid.avro": 151,
        "testDataFileMeta.avro": 0,
    }
    assert {name: counted[name] for name in known} == known


@pytest.mark.parametrize("codec", ["", "-deflate", "-snappy", "-zstd", "-sorted"])
def test_each_codec_gives_the_same_rows(codec: str) -> None:
    """The weather is what weather.json says it is, however it is packed."""
    data = avro_directory() / "apache-avro-share-test" / "data"
    expected = [json.loads(line) for line in (data / "weather.json").read_text().splitlines() if line]
    found: list[Any] = list(open_container(data / f"weather{codec}.avro").rows())
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_the_schema_of_a_file_is_a_schema() -> None:
    """The head of each file holds a schema that can be shown, compared and imported."""
    for path in container_files():
        assert schema_in(path), path


def test_what_is_no_container_file_says_so(tmp_path: Path) -> None:
    """A cut file and another file are told apart."""
    data = avro_directory() / "apache-avro-share-test" / "data"
    (tmp_path / "other.avro").write_bytes(b"PK\3\4")
    with pytest.raises(SchemaError, match="no Avro container file"):
        open_container(tmp_path / "other.avro")
    whole = (data / "weather.avro").read_bytes()
    (tmp_path / "cut.avro").write_bytes(whole[:-5])
    with pytest.raises(SchemaError, match="damaged"):
        list(open_container(tmp_path / "cut.avro").rows())


def test_a_file_of_the_first_format_is_read() -> None:
    """A file of Avro 1.2, which has its head at the end, gives its schema and every row."""
    file = avro_directory() / "apache-avro-share-test" / "data" / OLD
    rows = list(open_container(file).rows())
    assert len(rows) == 100
    assert rows[0] == {"stringField": "corftfdfvxvhyrxrktjjrfja", "longField": 6607288596706747066}
    assert rows[-1] == {"stringField": "ooff", "longField": -8188603388223617182}
    assert [field["name"] for field in record_in(file)["fields"]] == ["stringField", "longField"]


@pytest.mark.parametrize("at", [5, 20, 2940, 3119])
def test_a_damaged_file_of_the_first_format_says_so(tmp_path: Path, at: int) -> None:
    """A broken mark, number of rows or footer is found."""
    content = bytearray((avro_directory() / "apache-avro-share-test" / "data" / OLD).read_bytes())
    content[at] ^= 0x55
    (tmp_path / OLD).write_bytes(content)
    with pytest.raises(SchemaError, match="damaged"):
        list(open_container(tmp_path / OLD).rows())


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "snappy"])
def test_every_codec_of_avro_is_unpacked(tmp_path: Path, codec: str) -> None:
    """What fastavro packs in blocks is read; zstandard, which it may lack, is among the weather above."""
    file = tmp_path / "packed.avro"
    with file.open("wb") as out:
        writer(out, SCHEMA, [{"n": n} for n in range(3000)], codec=codec, sync_interval=1000)
    assert [row["n"] for row in open_container(file).rows()] == list(range(3000))


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    """A codec that nobody knows is said, with those that are known."""
    head = BytesIO()
    said = {"avro.schema": json.dumps(SCHEMA).encode(), "avro.codec": b"lz5"}
    schemaless_writer(head, {"type": "map", "values": "bytes"}, said)
    (tmp_path / "odd.avro").write_bytes(MAGIC + head.getvalue() + bytes(16))
    with pytest.raises(SchemaError, match="lz5 is no codec") as caught:
        list(open_container(tmp_path / "odd.avro").rows())
    assert "zstandard" in (caught.value.hint or "")
