"""How the client behaves: credentials, certificates, attempts, redirects, and what it says when it fails."""

import json
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import ConfigError, RegistryUnavailableError, SchemaError
from choreo.events.codec import Codec
from choreo.events.http_registry import HttpRegistry
from choreo.events.open import open_registry
from choreo.events.registry import RegistryOptions
from choreo.record import Record
from choreo.service.client import fresh_ids
from tests.events.sample import OrderEvent, OrderPlaced
from tests.registry.server import Reply, make_certificates, serving

SCHEMA: dict[str, Any] = {"type": "record", "name": "shop.A", "fields": [{"name": "a", "type": "long"}]}
FOUND = Reply(200, {"schema": json.dumps(SCHEMA)})
AWAY = Reply(503, {"error_code": 50301, "message": "electing"})


class OrderClosed(OrderEvent): ...


@pytest.fixture
def waits() -> list[float]:
    """How long the client waited between attempts, in seconds."""
    return []


def test_a_user_and_a_password_are_sent() -> None:
    """Credentials of the URL go as basic authentication, decoded; nothing that is shown names them."""
    with serving(FOUND) as server:
        registry = HttpRegistry(f"http://us%40er:p%3Aw@127.0.0.1:{server.port}/api/")
        assert registry.schema(7) == SCHEMA
        assert registry.schema(7) == SCHEMA
    assert [asked[:2] for asked in server.asked] == [("GET /api/schemas/ids/7", "Basic dXNAZXI6cDp3")]
    assert str(registry) == f"http://127.0.0.1:{server.port}/api"


def test_a_token_is_sent() -> None:
    """A token goes as a bearer's."""
    with serving(FOUND) as server:
        HttpRegistry(f"http://127.0.0.1:{server.port}", RegistryOptions(token="t0ken")).schema(7)
    assert server.asked[0].authorization == "Bearer t0ken"


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_say_what_to_set(status: int) -> None:
    """No attempt is wasted on wrong credentials, and no secret is in the error."""
    with serving(Reply(status, {"error_code": status, "message": "no"})) as server:
        registry = HttpRegistry(f"http://u:hush@127.0.0.1:{server.port}")
        with pytest.raises(SchemaError, match="refuses these credentials") as caught:
            registry.schema(7)
    assert len(server.asked) == 1
    assert "CHOREO_REGISTRY_TOKEN" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_what_passes_by_itself_is_asked_again(waits: list[float]) -> None:
    """A registry that is away for a moment is waited for, longer each time."""
    with serving(AWAY, Reply(0), FOUND) as server:
        assert HttpRegistry(f"http://127.0.0.1:{server.port}", wait=waits.append).schema(7) == SCHEMA
    assert waits == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("reply", [AWAY, Reply(0), Reply(429, {})])
def test_attempts_are_bounded(reply: Reply, waits: list[float]) -> None:
    """A registry that stays away is an error of its own kind, after as many attempts as were allowed."""
    with serving(reply) as server:
        url = f"http://127.0.0.1:{server.port}?attempts=3&timeout_s=5"
        with pytest.raises(RegistryUnavailableError) as caught:
            HttpRegistry(url, wait=waits.append).schema(7)
    assert len(server.asked) == 3
    assert caught.value.hint


def test_an_address_where_nobody_listens(waits: list[float]) -> None:
    """A refused connection is tried again, then said with the address."""
    with serving(FOUND) as server:
        url = f"http://127.0.0.1:{server.port}"
    with pytest.raises(RegistryUnavailableError, match="can't be reached") as caught:
        HttpRegistry(url, wait=waits.append).schema(7)
    assert len(waits) == 3
    assert str(caught.value.at) == url


def test_an_outage_makes_no_dead_letter() -> None:
    """A record that could not be looked at, and an event that could not be written, are not to blame."""
    options = RegistryOptions(attempts=1)
    with serving(AWAY) as server:
        codec = Codec(HttpRegistry(f"http://127.0.0.1:{server.port}", options), [OrderPlaced, OrderClosed], "c")
        with pytest.raises(RegistryUnavailableError):
            codec.event(Record("shop.orders", 0, 0, 0, b"o1", b"\0\0\0\0\7body", ()))
        with pytest.raises(RegistryUnavailableError):
            codec.encode(OrderClosed(order_id="o1"), fresh_ids(0))


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(404, raw=b"<html>"), "can't be looked up"),
        (Reply(200, raw=b"<html>"), "no JSON"),
        (Reply(302, {}, {"Location": "http://elsewhere/"}), "has moved"),
        (Reply(422, {"error_code": 42201, "message": "bad"}), "HTTP 422 bad"),
    ],
)
def test_another_server_is_recognised(reply: Reply, says: str) -> None:
    """What is no registry, or one that moved, says so; credentials follow nobody elsewhere."""
    with serving(reply) as server, pytest.raises(SchemaError) as caught:
        HttpRegistry(f"http://u:p@127.0.0.1:{server.port}").register("shop.A", SCHEMA)
    assert says in str(caught.value)
    assert len(server.asked) == 1


def test_an_id_of_another_schema_is_not_trusted() -> None:
    """Where the registry takes another schema for ours, nothing is written under its id."""
    other = SCHEMA | {"fields": [{"name": "a", "type": "string"}]}
    wrong = Reply(200, {"id": 7, "schema": json.dumps(other)})
    with serving(wrong) as server:
        registry = HttpRegistry(f"http://127.0.0.1:{server.port}")
        assert registry.find("shop.A", SCHEMA) is None
        with pytest.raises(SchemaError, match="stands for another schema"):
            registry.add("shop.A", SCHEMA)


@pytest.mark.parametrize(("kind", "says"), [("JSON", "is JSON, not Avro"), ("PROTOBUF", "is PROTOBUF, not Avro")])
def test_schemas_of_other_kinds_are_named(kind: str, says: str) -> None:
    """A schema that is no Avro is not mistaken for one."""
    with (
        serving(Reply(200, {"schema": "{}", "schemaType": kind})) as server,
        pytest.raises(SchemaError, match=says),
    ):
        HttpRegistry(f"http://127.0.0.1:{server.port}").schema(7)


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("http://", RegistryOptions(), "no URL of a registry"),
        ("http://h?pasword=x", RegistryOptions(), "pasword is no option"),
        ("http://h?attempts=many", RegistryOptions(), "is no number"),
        ("http://h?attempts=0", RegistryOptions(), "at least one"),
        ("http://h?subjects=table", RegistryOptions(), "no way to name subjects"),
        ("http://u:p@h", RegistryOptions(token="t"), "a user and a token"),
        ("http://h?ca=ca.pem", RegistryOptions(), "need an https"),
        ("https://h?ca=missing.pem", RegistryOptions(), "can't be read: missing.pem"),
        ("https://h?client_key=k.pem", RegistryOptions(), "without its client_certificate"),
    ],
)
def test_settings_that_make_no_sense_are_refused(url: str, options: RegistryOptions, says: str) -> None:
    """A mistake in URL or options is found before anything is asked."""
    with pytest.raises(ConfigError, match=says):
        open_registry(url, options)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that last two days."""
    if shutil.which("openssl") is None:
        pytest.skip("NO OPENSSL: certificates are not tried here")
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


@pytest.fixture
def secured(certificates: Path) -> Iterator[str]:
    """A server that talks only to clients with a certificate of our authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with serving(FOUND, tls=context) as server:
        yield f"https://127.0.0.1:{server.port}"


@pytest.mark.parametrize("locked", [False, True])
def test_both_sides_show_certificates(certificates: Path, secured: str, locked: bool) -> None:
    """A client certificate opens a registry that asks for one, its key encrypted or not."""
    key, password = ("client.locked.key", "sesame") if locked else ("client.key", "")
    query = f"ca={certificates / 'ca.pem'}&client_certificate={certificates / 'client.pem'}"
    options = RegistryOptions(client_key=str(certificates / key), client_password=password)
    assert HttpRegistry(f"{secured}?{query}", options).schema(7) == SCHEMA


def test_a_server_of_another_authority_is_not_trusted(secured: str, waits: list[float]) -> None:
    """A certificate that nobody vouches for is said at once, with the setting that would vouch for it."""
    with pytest.raises(RegistryUnavailableError) as caught:
        HttpRegistry(secured, wait=waits.append).schema(7)
    assert "[registry] ca" in (caught.value.hint or "")
    assert waits == []


def test_a_client_without_a_certificate_is_turned_away(certificates: Path, secured: str, waits: list[float]) -> None:
    """A registry that asks for a certificate is not reached without one."""
    with pytest.raises(RegistryUnavailableError):
        HttpRegistry(f"{secured}?ca={certificates / 'ca.pem'}", wait=waits.append).schema(7)
