"""Services inside another program: `async with running(payments, log=url):` beside a web application."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from choreo.clock import SystemClock
from choreo.events.open import open_registry
from choreo.events.registered import require_schemas
from choreo.events.registry import Registry
from choreo.log.open import open_log
from choreo.runtime.loop import run_workers
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.relay import with_relays
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.service.client import default_registry
from choreo.service.service import Service
from choreo.state.backend import Backends
from choreo.state.memory import MemoryBackends
from choreo.state.rocks import RocksBackends


def open_backends(log_url: str, directory: Path | None = None) -> Backends:
    """Where stores lie: in memory for a log in memory, else in `directory`, beside an embedded log by default."""
    scheme, _, rest = log_url.partition(":")
    if scheme == "memory":
        return MemoryBackends()
    if directory is None:
        directory = Path(rest.partition("?")[0]) / "state" if scheme == "embedded" else Path(".choreo/state")
    return RocksBackends(directory)


@asynccontextmanager
async def running(
    *services: Service, log: str | None = None, registry: str | Registry | None = None
) -> AsyncIterator[None]:
    """Run these services in threads of this process until the block ends; then commit and leave.

    `registry` is an open one or the address of one. Raises StartError where it lacks the schema of an event that these
    services emit and nobody adds by running. An error of a service is raised when the block ends.
    """
    url = log or "embedded:.choreo/log"
    clock, stopping = SystemClock(), threading.Event()
    opened = open_log(url)
    try:
        schemas = registry if isinstance(registry, Registry) else open_registry(registry or default_registry(url))
        require_schemas(schemas, (event for service in services for event in service.emitted))
        site = Site(opened, schemas, open_backends(url), clock)
        workers = [Worker(service, site, RunOptions(start_from="earliest")) for service in with_relays(services)]
        create_topics(opened, [worker.plan for worker in workers], 4)
        for worker in workers:
            worker.start()
        runner = asyncio.create_task(asyncio.to_thread(run_workers, workers, clock, stopping.is_set))
        try:
            yield
        finally:
            stopping.set()
            await runner
            site.backends.close()
    finally:
        opened.close()
