"""The specs on a log, version by version, with the instances that follow each and have not ended."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from choreo.checks.choreography import Choreography, Deployed
from choreo.checks.versions import stranded
from choreo.cli.judged import Known, judged_by
from choreo.cli.project import Project
from choreo.cli.records import Bodies, read_to_end
from choreo.cli.saga_answers import MappingFile
from choreo.cli.saga_rows import lifecycle_topic, sagas_on
from choreo.errors import ChoreoError, DecodeError, LogUnavailableError, UnknownSchemaError
from choreo.events.event import Event
from choreo.saga.coordinator import coordinator
from choreo.saga.instance import ENDED
from choreo.saga.offers import Offers
from choreo.saga.rules import Spec
from choreo.saga.shelf import examine_deployed, shelf, whole_shelf


def deployed_specs(project: Project, catalogue: Mapping[str, type[Event]], offers: Offers) -> Iterator[Deployed]:
    """Every deployed version of every saga that the log knows. `offers` are the sagas that they may nest and that
    were not deployed. Raises LogUnavailableError.
    """
    every = whole_shelf(project.log)
    for saga in sorted(sagas_on(project.log)):
        running = _running(project, saga)
        for one in shelf(project.log, saga):
            spec, problems = examine_deployed(one, every, catalogue, offers)
            problem = problems.found[0].text if problems.found else ""
            keys = tuple(sorted(key for key, digest in running.items() if digest == one.digest))
            yield Deployed(saga, one.version, one.digest, None if problem else spec, problem, keys)


def with_outcomes(project: Project, whole: Choreography) -> Iterator[Deployed]:
    """The deployed versions of a project; those with which instances could not go on with what would become of them
    under the version that the project has. What can't be worked out is left open. Raises LogUnavailableError.
    """
    news = {old.digest: new for old, new in stranded(whole)}
    for old in whole.deployed:
        new = news.get(old.digest)
        yield old if new is None else replace(old, outcomes=_outcomes(project, whole, old, new))


def _outcomes(project: Project, whole: Choreography, old: Deployed, new: Spec) -> dict[str, int]:
    older = [one.spec for one in whole.deployed if one.saga == old.saga and one.spec and one.digest != new.digest]
    try:
        service = coordinator(new, whole.catalogue, older)
        known = Known(service, {one.digest: one for one in (*older, new)}, whole.catalogue)
        found = judged_by(project, known, new, MappingFile(), old.running)
    except LogUnavailableError:
        raise
    except ChoreoError:
        return {}
    return dict(sorted(Counter(one.verdict.outcome for one in found).items()))


def _running(project: Project, saga: str) -> dict[str, str]:
    """The digest that each instance under way follows, by its key."""
    last = {record.key: record for record in read_to_end(project.log, [lifecycle_topic(saga)])}
    bodies, found = Bodies(project.registry), {}
    for record in last.values():
        try:
            body = bodies.read(record)
            if body["status"] not in ENDED:
                found[str(body["key"])] = str(body["digest"])
        except (DecodeError, UnknownSchemaError, KeyError):
            continue  # no lifecycle event: `choreo sagas list` counts them
    return found
