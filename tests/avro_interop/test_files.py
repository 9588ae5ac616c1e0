"""Container files of Avro's and fastavro's own tests are read; what is none says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import SchemaError
from choreo.events.container import open_container
from choreo.events.schema_files import schema_in
from tests.avro_interop.vectors import avro_directory

OLD = "test.avro12"
"""Of the format before Avro 1.3, which Avro itself no longer writes."""


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
    """An older format, a cut file and another file are told apart."""
    data = avro_directory() / "apache-avro-share-test" / "data"
    with pytest.raises(SchemaError, match="no Avro container file") as caught:
        open_container(data / OLD)
    assert "before Avro 1.3" in (caught.value.why or "")
    (tmp_path / "other.avro").write_bytes(b"PK\3\4")
    with pytest.raises(SchemaError, match="no Avro container file"):
        open_container(tmp_path / "other.avro")
    whole = (data / "weather.avro").read_bytes()
    (tmp_path / "cut.avro").write_bytes(whole[:-5])
    with pytest.raises(SchemaError, match="damaged"):
        list(open_container(tmp_path / "cut.avro").rows())
