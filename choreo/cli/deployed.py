"""The specs on a log, version by version, with the instances that follow each and have not ended."""

from collections.abc import Iterator, Mapping

from choreo.checks.choreography import Deployed
from choreo.cli.project import Project
from choreo.cli.records import Bodies, read_to_end
from choreo.errors import DecodeError, UnknownSchemaError
from choreo.events.event import Event
from choreo.log.interface import Log
from choreo.saga.instance import ENDED
from choreo.saga.offers import Offers
from choreo.saga.shelf import examine_deployed, shelf, whole_shelf

PREFIX, SUFFIX = "choreo.saga.", ".lifecycle"


def deployed_specs(project: Project, catalogue: Mapping[str, type[Event]], offers: Offers) -> Iterator[Deployed]:
    """Every deployed version of every saga that the log knows. `offers` are the sagas that they may nest and that
    were not deployed. Raises LogUnavailableError.
    """
    every = whole_shelf(project.log)
    for saga in _sagas(project.log):
        running = _running(project, saga)
        for one in shelf(project.log, saga):
            spec, problems = examine_deployed(one, every, catalogue, offers)
            problem = problems.found[0].text if problems.found else ""
            keys = tuple(sorted(key for key, digest in running.items() if digest == one.digest))
            yield Deployed(saga, one.version, one.digest, None if problem else spec, problem, keys)


def _sagas(log: Log) -> list[str]:
    names = (name for name in log.topics() if name.startswith(PREFIX) and name.endswith(SUFFIX))
    return sorted(name.removeprefix(PREFIX).removesuffix(SUFFIX) for name in names)


def _running(project: Project, saga: str) -> dict[str, str]:
    """The digest that each instance under way follows, by its key."""
    last = {record.key: record for record in read_to_end(project.log, [f"{PREFIX}{saga}{SUFFIX}"])}
    bodies, found = Bodies(project.registry), {}
    for record in last.values():
        try:
            body = bodies.read(record)
            if body["status"] not in ENDED:
                found[str(body["key"])] = str(body["digest"])
        except (DecodeError, UnknownSchemaError, KeyError):
            continue  # no lifecycle event: `choreo sagas list` counts them
    return found
