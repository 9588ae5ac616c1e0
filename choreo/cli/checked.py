"""A project as `choreo check` sees it: loaded part by part, so that one that fails does not hide the others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from choreo.checks.choreography import Choreography, Count, Named, SpecFile
from choreo.checks.contracts import find_contracts
from choreo.checks.emissions import find_emissions
from choreo.checks.every import find_all
from choreo.checks.finding import Finding, Spot, spot_of
from choreo.cli.deployed import deployed_specs, with_outcomes
from choreo.cli.nested import offers_of
from choreo.cli.project import Project
from choreo.cli.targets import Finder
from choreo.diagram.parts import Parts
from choreo.errors import ChoreoError, SpecError
from choreo.runtime.plan import Plan, plan_of
from choreo.saga.coordinator import coordinator
from choreo.saga.lock_events import lock_events
from choreo.saga.locks import lock_services
from choreo.saga.offers import NOBODY, called
from choreo.saga.problems import Problems
from choreo.saga.spec import Spec, examine_spec, folder_of, shared_beside
from choreo.service.service import Service


def counted(number: int, word: str) -> str:
    """`1 service`, `2 services`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


class Checked:
    """One look at a project."""

    def __init__(self, project: Project, here: Path) -> None:
        self._project, self._finder = project, Finder(project.config, here)
        self._services: list[Service] = []
        self._specs: list[SpecFile] = []
        self._plans: list[Plan] = []
        self._runnable: list[Service] = []
        self._offers = NOBODY
        self._broken = False
        """Whether a part could not be loaded: what it would have said is not known, so nobody is told to lack it."""
        self._hidden = False
        """Whether that part was code: its events are not known."""

    def counted(self) -> str:
        """What was looked at."""
        parts = (len(self._services), "service"), (len(self._specs), "saga"), (len(self._finder.catalogue()), "event")
        return ", ".join(counted(number, word) for number, word in parts)

    def findings(self, targets: Sequence[str]) -> Iterator[Finding]:
        """Everything that is found in these targets; without one, in the whole project."""
        paths: list[Path] = []
        for target in targets or (*self._project.config.project.services, "sagas"):
            try:
                found = self._finder.find([target])
            except ChoreoError as error:
                self._hidden = True
                yield self._failed("cannot-load", error)
                continue
            self._services += [service for service in found.services if service not in self._services]
            paths += found.specs
        if targets and paths:
            yield from self._learn_events()
        if not targets and not self._services and not paths and not self._broken:
            self._finder.find([])  # says that there is nothing, and where it was looked for
        sound, failed = self._sound()
        self._runnable = sound
        yield from failed
        yield from self._load_specs(paths)
        keepers = lock_services(one.spec for one in self._specs)
        sound += keepers
        self._plans += map(plan_of, keepers)
        whole = self._choreography(sound, everything=not targets)
        if self._broken:
            yield from find_emissions(whole)
            whole = replace(whole, services=(), whole=False)
        if whole.deployed:
            whole = replace(whole, deployed=tuple(with_outcomes(self._project, whole)))
        yield from find_all(whole)
        config = self._project.config
        yield from find_contracts(self._finder.catalogue().values(), config.path(config.project.schemas))

    def _learn_events(self) -> Iterator[Finding]:
        """A spec speaks of events of the whole project, also where it is looked at alone."""
        for entry in self._project.config.project.services:
            try:
                self._finder.find([entry])
            except ChoreoError as error:
                self._hidden = True
                yield self._failed("cannot-load", error)

    @property
    def _asks_log(self) -> bool:
        """Whether the log is looked at, too: for whoever names one."""
        return self._project.config.origin("log.url") == "--log"

    @property
    def parts(self) -> Parts:
        """What is sound enough to be explored and drawn."""
        specs = tuple(one.spec for one in self._specs)
        return Parts(tuple(self._runnable), specs, {**self._finder.catalogue(), **lock_events(specs)})

    def _sound(self) -> tuple[list[Service], list[Finding]]:
        """The services that can run, and what is wrong with the others."""
        sound, failed = [], []
        for service in self._services:
            try:
                self._plans.append(plan_of(service))
                sound.append(service)
            except ChoreoError as error:
                failed.append(self._failed("cannot-run", error))
        return sound, failed

    def _load_specs(self, paths: Iterable[Path]) -> Iterator[Finding]:
        catalogue, files = self._finder.catalogue(), list(paths)
        self._offers = offers_of(
            [*files, *self._finder.spec_files()], lambda: self._project.log if self._asks_log else None
        )
        seen: list[tuple[Path, str, Spec | None, Problems]] = []
        for path in files:
            try:
                source, shared = path.read_bytes().decode(), shared_beside(path)
            except (OSError, UnicodeDecodeError) as error:
                self._broken = True
                yield Finding("cannot-load", f"{path} can't be read: {error}", Spot(str(path)))
                continue
            except SpecError as error:
                yield self._failed("cannot-load", error)
                continue
            near = self._offers.behind(folder_of(path))
            seen.append((path, source, *examine_spec(source, str(path), catalogue, near, shared)))
        broken = {saga for _, source, _, problems in seen if problems.found for saga in called(source)}
        for path, source, spec, problems in seen:
            for problem in problems.found:
                if problem.nested in broken or (problem.code == "unknown-event" and self._hidden):
                    continue
                yield Finding(problem.code, problem.text, Spot(str(path), *problem.place), problem.cure)
            if spec is None or problems.found:
                self._broken = True
                continue
            try:
                self._plans.append(plan_of(coordinator(spec, catalogue)))
            except ChoreoError as error:
                failed = self._failed("cannot-run", error)
                yield failed if failed.spot else replace(failed, spot=Spot(str(path)))
                continue
            self._specs.append(SpecFile(str(path), source, spec))

    def _failed(self, code: str, error: ChoreoError) -> Finding:
        self._broken = True
        says = error.message if error.why is None else f"{error.message}: {error.why}"
        return Finding(code, says, spot_of(error.at), error.hint or "")

    # -- the whole -----------------------------------------------------------------------------------------------------

    def _choreography(self, sound: Sequence[Service], everything: bool) -> Choreography:
        config, catalogue = self._project.config, self._finder.catalogue()
        said = config.origin("project.outside")
        asked = self._asks_log
        return Choreography(
            services=tuple(sound),
            specs=tuple(self._specs),
            catalogue=catalogue,
            handlers=tuple(self._finder.handlers()),
            outside=dict.fromkeys(config.project.outside, spot_of(said)),
            whole=everything,
            plans=tuple(self._plans),
            counts=self._counts(asked),
            named=tuple(self._named()),
            deployed=tuple(deployed_specs(self._project, catalogue, self._offers)) if asked else (),
        )

    def _counts(self, asked: bool) -> dict[str, Count]:
        """Partition counts: what the settings want, and over it what the log has."""
        config = self._project.config
        named = {name: section for name, section in config.topics.items() if name != "default"}
        places = {name: spot_of(config.origin(f"topics.{name}.partitions")) for name in named}
        counts = {name: Count(one.partitions, places[name] or "settings") for name, one in named.items()}
        if asked:
            url = config.log.url
            counts |= {name: Count(topic.partitions, url) for name, topic in self._project.log.topics().items()}
        return counts

    def _named(self) -> Iterator[Named]:
        config = self._project.config
        for section, names in (
            ("downstreams", config.downstreams),
            ("topics", config.topics),
            ("settings", config.settings),
        ):
            for name in names:
                first = (one.origin for one in config.values if one.name.startswith(f"{section}.{name}."))
                yield Named(section, name, spot_of(next((origin for origin in first if origin != "default"), None)))
