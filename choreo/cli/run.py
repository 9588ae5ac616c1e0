"""`choreo run`: services and coordinators of this project in one process, or in several."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from types import FrameType

import click

from choreo.cli.assembly import Assembly, assemble, deploy_specs, lacking_topics, settings_of, wanted_topics
from choreo.cli.faults import fault_point
from choreo.cli.limits import limited
from choreo.cli.main import FOUND, code_of
from choreo.cli.news import LOGGER, say, telling
from choreo.cli.options import command
from choreo.cli.processes import require_kafka, run_processes
from choreo.cli.project import Project
from choreo.cli.stores import place_of
from choreo.clock import SystemClock, from_iso
from choreo.errors import ChoreoError, ConfigError
from choreo.events.registered import require_schemas
from choreo.runtime.heap import rare_collections
from choreo.runtime.idle import Idleness
from choreo.runtime.loop import run_workers
from choreo.runtime.observer import Observers
from choreo.runtime.options import RunOptions, Site, StartFrom
from choreo.runtime.reporter import Reporter
from choreo.runtime.worker import Worker
from choreo.service.service import Service
from choreo.state.backend import Backends
from choreo.state.memory import MemoryBackends
from choreo.state.rocks import RocksBackends
from choreo.telemetry.endpoint import Address, Endpoint, read_address
from choreo.telemetry.status import Watch
from choreo.telemetry.tally import Tally

NOT_DRAINED = 1
Look = Callable[[Sequence[Worker], threading.Event], AbstractContextManager[object]]
"""Looks at the workers while they run; may set the event, which ends the run."""


@command("run")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--until-idle", is_flag=True, help="End when everything on the log is handled and no timer is due.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; more than one needs Kafka.")
@click.option("--start-from", metavar="WHEN", help="Where a new group begins: earliest, latest or an ISO time.")
@click.option("--log-format", type=click.Choice(["console", "json"]), help="Lines on stderr; json: one object each.")
@click.option("--health", metavar="[HOST:]PORT", help="Serve /healthz, /readyz and /status there.")
@click.option("--worker", type=int, hidden=True, help="Which of the processes of --workers this is.")
def run(
    project: Project,
    targets: Sequence[str],
    until_idle: bool,
    workers: int | None,
    start_from: str | None,
    worker: int | None,
    **watching: str | None,
) -> int:
    """Run services and saga coordinators until they are told to stop.

    TARGET is a name in choreo.toml, module[:attr], file.py[:attr], spec.yaml, or sagas; none means the whole project.
    SIGTERM or Ctrl-C drains: what is begun is committed, then the program ends.
    """
    config = project.config
    log_format, health = watching["log_format"] or config.logging.format, watching["health"] or config.health.listen
    level = "debug" if project.output.verbose else config.logging.level
    with telling(level, as_json=log_format == "json", worker=worker) as origin:
        try:
            count = workers or config.run.workers
            address = read_address(health) if health else None
            if count > 1 and worker is None:
                require_kafka(project, count)
                _refuse_idle(until_idle)
            found = limited(project, assemble(project, targets, project.make_log()))
            origin.services.update(service.name for service in found.services)
            if worker is None:
                prepare(project, found)
                if count > 1:
                    given = ["--start-from", start_from] if start_from else []
                    return run_processes(project, count, ["run", *targets, *given, "--log-format", log_format], address)
            options = run_options(project, start_from, worker or 0)
            look = _until_idle(project) if until_idle else _unwatched
            with _stopping(config.run.drain_s) as stop:
                return run_here(project, found, options, stop, look, address)
        except Exception as error:
            if log_format != "json":
                raise
            return _last_words(error)


def _last_words(error: Exception) -> int:
    """Where every line is JSON, so is the error that ends the run: it is told here; answers the exit code."""
    LOGGER.critical("the run has ended: %s", type(error).__name__, exc_info=error)
    return code_of(error) if isinstance(error, ChoreoError) else FOUND


def _until_idle(project: Project) -> Look:
    return lambda workers, stop: Idleness(workers, project.log, SystemClock(), stop)


def _unwatched(workers: Sequence[Worker], stop: threading.Event) -> AbstractContextManager[object]:
    return nullcontext()


def _refuse_idle(until_idle: bool) -> None:
    if until_idle:
        raise ConfigError(
            "--until-idle looks at one process",
            why="one of several may rest while another still has work for it",
            hint="--workers 1",
        )


def run_here(
    project: Project,
    found: Assembly,
    options: RunOptions,
    stop: threading.Event,
    look: Look,
    health: Address | None = None,
) -> int:
    """Every service in this process, a thread each, until `stop` is set. Raises what the first that fails raises."""
    clock, tally = SystemClock(), Tally()
    watch = Watch(project.log, clock, tally, stalled_s=project.config.health.stalled_s, worker=options.worker)
    with ExitStack() as opened:
        watch.stopping = stop.is_set
        if health is not None:
            say(f"health on http://{opened.enter_context(Endpoint(health, watch)).address}")
        workers = []
        observer = Observers([Reporter(), tally])
        for service in found.services:
            backends = opened.enter_context(closing(_backends(project, service, options.worker)))
            specs = tuple(spec.digest for spec in found.specs.get(service.name, ()))
            site = Site(project.log, project.registry, backends, clock, observer)
            settings = settings_of(project, service)
            worker = Worker(
                service, site, replace(options, specs=specs), settings=settings, reach=fault_point(os.environ)
            )
            opened.callback(worker.abandon)
            workers.append(worker)
        watch.workers.extend(workers)
        for worker in workers:
            worker.start()
        say(f"running {', '.join(service.name for service in found.services)} on {project.log.url}")
        opened.enter_context(look(workers, stop))
        with rare_collections():
            run_workers(workers, clock, stop.is_set)
    handled = sum(worker.handled for worker in workers)
    say(f"handled {handled:,} inputs in {sum(worker.checkpoints for worker in workers):,} checkpoints")
    return 0


def _backends(project: Project, service: Service, worker: int) -> Backends:
    if project.log.url.startswith("memory:"):
        return MemoryBackends()
    return RocksBackends(place_of(project.config.state_dir(), service.name, worker))


def run_options(project: Project, start_from: str | None, worker: int) -> RunOptions:
    """How workers run by the settings; `start_from` was asked for on the command line. Raises ConfigError."""
    run = project.config.run
    return RunOptions(
        start_from=_start_from(start_from or run.start_from, project.log.url),
        worker=worker,
        checkpoint_interval_s=run.checkpoint_interval_s,
        session_timeout_s=run.session_timeout_s,
        call_threads=run.call_threads,
        snapshot_every_inputs=run.snapshot_every_inputs,
    )


def _start_from(text: str, log_url: str) -> StartFrom:
    """Where a new group begins. A log of one's own machine begins at the beginning; a shared one must be told."""
    if not text:
        return None if log_url.startswith("kafka:") else "earliest"
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    try:
        return from_iso(text) // 1000
    except ValueError:
        raise ConfigError(f"--start-from {text} is no time", hint="earliest, latest or 2026-11-21T08:00:00Z") from None


def prepare(project: Project, found: Assembly) -> None:
    """Make the topics that are missing, and put the specs on the log.

    Raises what the log says, which names the right that these credentials lack; StartError where schemas are missing
    that nobody registers by running.
    """
    missing = lacking_topics(project.log, wanted_topics(project, found.plans(), project.log.topics()))
    if missing:
        project.log.create_topics(missing)
        say(f"made {len(missing)} topics")
    require_schemas(project.registry, (event for plan in found.plans() for event in plan.service.emitted))
    for deployed in deploy_specs(project.log, found):
        say(f"deployed saga {deployed}")


@contextmanager
def _stopping(drain_s: float) -> Iterator[threading.Event]:
    """Set by SIGTERM and Ctrl-C. What is not drained `drain_s` seconds later is left to the next start."""
    stop = threading.Event()

    def give_up() -> None:
        say(f"not drained within {drain_s:g} s: what was not committed is done again by the next start")
        os._exit(NOT_DRAINED)

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("stopping: committing what is begun")
        watchdog = threading.Timer(drain_s, give_up)
        watchdog.daemon = True
        watchdog.start()
        watchdogs.append(watchdog)

    watchdogs: list[threading.Timer] = []
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)} if _in_main() else {}
    try:
        yield stop
    finally:
        for watchdog in watchdogs:
            watchdog.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()
