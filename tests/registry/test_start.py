"""A program that runs services or speaks from outside starts only where its schemas are registered."""

import asyncio
import json
from pathlib import Path

import pytest

from choreo import Context, Event, Handler, Service
from choreo.errors import StartError
from choreo.events.avro import schema_of
from choreo.events.http_registry import HttpRegistry
from choreo.events.registry import RegistryOptions
from choreo.log.open import open_log
from choreo.runtime.running import running
from choreo.service.client import Client
from tests.registry.server import Reply, serving

NOT_THERE = Reply(404, {"error_code": 40401, "message": "no such subject"})


class Asked(Event, namespace="post", topic="post.asked", key="letter"):
    letter: str


class Answered(Event, namespace="post", topic="post.answered", key="letter"):
    letter: str


class Answer(Handler[Asked]):
    def handle(self, event: Asked, ctx: Context) -> Answered:
        return Answered(letter=event.letter)


POST = Service("post", handlers=[Answer])


def there(event: type[Event]) -> list[Reply]:
    """What a registry says that has the schema of an event: its id, then the schema behind it."""
    return [Reply(200, {"id": 7, "subject": "s", "version": 1}), Reply(200, {"schema": json.dumps(schema_of(event))})]


async def start(log: str, registry: HttpRegistry) -> None:
    async with running(POST, log=log, registry=registry):
        pass


def test_running_refuses_to_start_without_its_schemas(tmp_path: Path) -> None:
    """What the services emit must be registered: the error names subject and command, and no topic was made."""
    url = f"embedded:{tmp_path}/log"
    with serving(NOT_THERE) as server:
        with pytest.raises(StartError, match=r"not registered: post\.Answered") as caught:
            asyncio.run(start(url, HttpRegistry(f"http://127.0.0.1:{server.port}")))
        assert [asked.line for asked in server.asked] == ["POST /subjects/post.Answered"]
    assert "choreo schemas register" in (caught.value.hint or "")
    log = open_log(url)
    try:
        assert not log.topics()
    finally:
        log.close()


def test_running_starts_once_they_are_there(tmp_path: Path) -> None:
    """With its schemas registered, or where whoever writes first registers them, a service starts."""
    with serving(*there(Answered)) as server:
        asyncio.run(start(f"embedded:{tmp_path}/log", HttpRegistry(f"http://127.0.0.1:{server.port}")))
        assert len(server.asked) == 2
    with serving(NOT_THERE) as server:
        developing = HttpRegistry(f"http://127.0.0.1:{server.port}", RegistryOptions(auto_register=True))
        asyncio.run(start(f"embedded:{tmp_path}/other", developing))
        assert not server.asked


def test_a_client_says_beforehand_what_it_can_not_write(tmp_path: Path) -> None:
    """A client that names what it emits fails when it is made, and lets go of the log."""
    url = f"embedded:{tmp_path}/log"
    with serving(NOT_THERE) as server:
        registry = HttpRegistry(f"http://127.0.0.1:{server.port}")
        for _ in range(2):
            with pytest.raises(StartError, match=r"not registered: post\.Asked"):
                Client(url, registry=registry, emits=[Asked])
        with Client(url, registry=registry):
            pass
    with serving(*there(Asked)) as server, Client(url, registry=f"http://127.0.0.1:{server.port}", emits=[Asked]):
        assert len(server.asked) == 2
