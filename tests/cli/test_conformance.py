"""`choreo sagas conformance`: each planted misfit is found with its saga and its event; what fits is left in peace."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from choreo.cli.conformance import emitters_of
from choreo.cli.judged import Known
from choreo.cli.progress import Progress
from choreo.cli.saga_lives import Lives
from choreo.cli.story_code import Code
from choreo.cli.time_span import WHOLE, TimeSpan
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.record import TopicPartition
from choreo.replay.conformance import Emitters, Judgement, judge
from choreo.saga.commands import command_of
from choreo.saga.coordinator import Coordinator, coordinator
from choreo.saga.decision import Skip
from choreo.saga.spec import parse_spec
from choreo.service.client import fresh_ids
from choreo.service.handler import Handler
from choreo.service.service import Service
from tests.cli.conftest import Choreo
from tests.cli.kiosk import write_kiosk
from tests.runtime.town import Town
from tests.saga.flow import CATALOGUE, source, step

STEPS = (step("a", "emit: AskA", "within: 1h", "on_timeout: escalate"), step("b", "emit: AskB", "after: a"))


def event(name: str, case: str) -> Event:
    """An event of the flow of this case."""
    return CATALOGUE[f"flow.{name}"](case=case)  # type: ignore[call-arg]  # a field of every event of a flow


def worker(name: str, asked: str, answer: str, cases: Sequence[str]) -> Service:
    """A service that answers one event by another, for these cases only."""

    def handle(self: object, given: Any, ctx: object) -> Event | None:
        return event(answer, given.case) if given.case in cases else None

    takes, gives = CATALOGUE[f"flow.{asked}"], CATALOGUE[f"flow.{answer}"]
    body = {"handles": (takes,), "emits": (gives,), "handle": handle, "__module__": __name__}
    return Service(name, handlers=[type(f"{answer}By{name.title()}", (Handler,), body)])


class Stage:
    """A town in which sagas go their ways, and what is found of them by one who does not know the code of `rogue`."""

    def __init__(self, directory: Path, **keys: str) -> None:
        self.saga = coordinator(parse_spec(source(*STEPS, **keys), "flow.yaml", CATALOGUE), CATALOGUE)
        cases = ("fits", "slow")
        self.known = [self.saga, worker("first", "AskA", "ADone", cases[:1]), worker("second", "AskB", "BDone", cases)]
        self.known.append(worker("late", "Told1", "ADone", ["slow"]))
        self.town = Town(*self.known, worker("rogue", "AskA", "ADone", ["foreign"]))
        self.directory = directory

    def judged(self, span: TimeSpan = WHOLE) -> dict[str, Judgement]:
        """What is found of each saga."""
        lives, emitters = self.lives(span)
        return {life.key: judge(life, emitters) for life in lives}

    def lives(self, span: TimeSpan = WHOLE) -> tuple[Lives, Emitters]:
        """The sagas, and who declares what."""
        progress = Progress(sys.stderr, terminal=False, silent=True)
        config = SimpleNamespace(state_dir=lambda: self.directory)
        project: Any = SimpleNamespace(
            log=self.town.log, past=self.town.log, registry=self.town.registry, progress=progress, config=config
        )
        code = Code(self.town.log, self.town.registry, self.known)
        (handler,) = [one for one in self.saga.handlers if one.__name__ == "Coordinator"]
        assert issubclass(handler, Coordinator)
        lives = Lives(project, Known(self.saga, handler.specs, handler.catalogue), code, span)
        return lives, emitters_of(code.services.values())

    def id_of(self, name: str, case: str) -> bytes:
        """The id of the one event of this name and case."""
        codec = Codec(self.town.registry, tuple(CATALOGUE.values()), self.town.log.cluster_id())
        told = [codec.decode(record) for record in self.town.records("flow.work")]
        (found,) = [one.ids.event_id for one in told if one.event == event(name, case)]
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def kinds(one: Judgement) -> list[tuple[str, str, bytes | None]]:
    """Its misfits, in short."""
    return [(misfit.kind, misfit.step, misfit.event_id) for misfit in one.misfits]


def test_a_saga_that_went_as_its_spec_says_fits(stage: Stage) -> None:
    """Its path is told, each step's time, and where it came to."""
    stage.town.tell(event("Started", "fits"))
    (found,) = stage.judged().values()
    assert kinds(found) == []
    assert found.path == ("a", "b", "completed")
    assert [(lap.step, lap.slow) for lap in found.laps] == [("a", False), ("b", False)]
    assert [name for name, _ in found.stations] == ["start", "step a", "step b", "completed"]
    assert found.not_replayed == ""


def test_a_skipped_step_is_found(stage: Stage) -> None:
    """A step that is done while the one before it never is, by the event that shows it."""
    stage.town.tell(event("Started", "fits"), event("Started", "hasty"))
    stage.town.tell(event("BDone", "hasty"))
    found = stage.judged()
    assert ("skipped", "b", stage.id_of("BDone", "hasty")) in kinds(found["hasty"])
    assert kinds(found["fits"]) == []


def test_a_broken_order_is_found(stage: Stage) -> None:
    """The same where the earlier step is done later on: nothing was left out."""
    stage.town.tell(event("Started", "hasty"))
    stage.town.tell(event("BDone", "hasty"))
    stage.town.tell(event("ADone", "hasty"))
    found = kinds(stage.judged()["hasty"])
    assert ("order", "b", stage.id_of("BDone", "hasty")) in found
    assert "skipped" not in [kind for kind, _, _ in found]


def test_a_foreign_emitter_is_found(stage: Stage) -> None:
    """An event that another service emitted than those that declare it, and one without a cause; by its id."""
    stage.town.tell(event("Started", "foreign"), event("Started", "outside"))
    stage.town.tell(event("ADone", "outside"))
    found = stage.judged()
    assert kinds(found["foreign"]) == [("emitter", "a", stage.id_of("ADone", "foreign"))]
    assert kinds(found["outside"]) == [("emitter", "a", stage.id_of("ADone", "outside"))]
    assert "has another author, not from first or late" in found["foreign"].misfits[0].says
    assert "came from outside, not from first or late" in found["outside"].misfits[0].says


def test_a_slow_step_is_found(stage: Stage) -> None:
    """A step that took longer than its `within`, by the event that ended it at last."""
    stage.town.tell(event("Started", "slow"))
    stage.town.wait(2 * 3_600)
    stage.town.tell(event("Told1", "slow"))
    found = stage.judged()["slow"]
    assert kinds(found) == [("slow", "a", stage.id_of("ADone", "slow"))]
    assert [(lap.step, lap.slow, lap.took // 3_600_000_000) for lap in found.laps] == [("a", True, 2), ("b", False, 0)]


def test_late_events_and_orders_of_operators_are_found(stage: Stage) -> None:
    """A step that somebody skipped by hand, and an event that came for it afterwards."""
    stage.town.tell(event("Started", "fits"), event("Started", "mended"))
    stage.town.tell(command_of("flow", "mended", Skip("a"), "ada", "done by phone"))
    stage.town.wait(1)
    stage.town.tell(event("AFailed", "mended"))
    stage.town.wait(60)  # what changes nothing is committed in its time
    found = stage.judged()
    by_kind = {misfit.kind: misfit for misfit in found["mended"].misfits}
    assert by_kind["skipped"].says == "skip a (by ada: done by phone)"
    assert by_kind["late"].event_id == stage.id_of("AFailed", "mended")
    assert kinds(found["fits"]) == []


def test_an_answer_that_was_on_its_way_when_its_step_was_given_up_fits(stage: Stage) -> None:
    """Whoever said it could not know; what nobody on the log had asked for is a fact, and late."""
    stage.town.tell(event("Started", "crossed"), event("Started", "late"))
    codec = Codec(stage.town.registry, (), stage.town.log.cluster_id())
    answer = fresh_ids(stage.town.clock.now(), "story")._replace(causation_id=b"c" * 16)
    on_its_way = codec.encode(event("ADone", "crossed"), answer)
    fact = codec.encode(event("ADone", "late"), fresh_ids(stage.town.clock.now(), "story"))
    stage.town.wait(1)
    stage.town.tell(event("Cancelled", "crossed"), event("Cancelled", "late"))
    stage.town.wait(1)
    stage.town.log.append([on_its_way, fact])
    stage.town.wait(60)
    found = stage.judged()
    assert (found["crossed"].crossed, [kind for kind, _, _ in kinds(found["crossed"])]) == (1, ["emitter"])
    assert (found["late"].crossed, {kind for kind, _, _ in kinds(found["late"])}) == (0, {"emitter", "late"})


def test_a_saga_whose_changes_are_not_what_its_events_lead_to_diverges(stage: Stage) -> None:
    """A change on the log that no input brought about; what is handled while one looks is no divergence."""
    stage.town.tell(event("Started", "slow"))
    ((life,), emitters) = (list(stage.lives()[0]), stage.lives()[1])
    stage.town.wait(2 * 3_600)
    stage.town.tell(event("Told1", "slow"))
    (later,) = stage.lives()[0]
    assert kinds(judge(replace(later, changes=life.changes), emitters)) == []
    forged = later.changes[-1]._replace(status="waiting")
    found = judge(replace(later, changes=[*later.changes[:-1], forged]), emitters)
    assert ("diverges", "", forged.caused_by) in kinds(found)


def test_sagas_are_chosen_by_when_they_started(stage: Stage) -> None:
    """A span of time bounds which sagas are judged, each as a whole."""
    stage.town.tell(event("Started", "fits"))
    stage.town.wait(3_600)
    between = stage.town.clock.now()
    stage.town.tell(event("Started", "slow"))
    assert list(stage.judged(TimeSpan(until=between))) == ["fits"]
    assert stage.judged(TimeSpan(until=between))["fits"].path == ("a", "b", "completed")


def test_without_a_whole_journal_sagas_are_judged_by_their_changes(stage: Stage) -> None:
    """What can't be replayed is said; what the changes tell is found all the same."""
    stage.town.tell(event("Started", "slow"))
    stage.town.wait(2 * 3_600)
    stage.town.tell(event("Told1", "slow"))
    partition = stage.town.log.partition(TopicPartition("choreo.saga.flow.journal", 0))  # type: ignore[attr-defined]  # a MemoryLog
    del partition.records[1], partition.offsets[1]
    found = stage.judged()["slow"]
    assert "the journal goes from checkpoint 1 to 3" in found.not_replayed
    assert kinds(found) == [("slow", "a", stage.id_of("ADone", "slow"))]


def test_the_scratch_is_gone_afterwards(stage: Stage) -> None:
    """Nothing is left in the state directory, also where the looking is broken off."""
    stage.town.tell(event("Started", "fits"), event("Started", "slow"))
    looking = iter(stage.lives()[0])
    next(looking)
    assert len(list(stage.directory.iterdir())) == 1
    looking.close()
    assert list(stage.directory.iterdir()) == []
    stage.judged()
    assert list(stage.directory.iterdir()) == []


def test_a_key_that_is_started_again_is_two_sagas(tmp_path: Path) -> None:
    """Each life is judged by itself, by what was taken while it lasted."""
    stage = Stage(tmp_path, keep_ended="1h", refuse_again="1h")
    stage.town.tell(event("Started", "fits"))
    stage.town.wait(3 * 3_600)
    stage.town.tell(event("Started", "fits"))
    lives, emitters = stage.lives()
    found = [judge(life, emitters) for life in lives]
    assert [(one.key, one.path, kinds(one), one.not_replayed) for one in found] == [
        ("fits", ("a", "b", "completed"), [], "")
    ] * 2
    assert found[1].stations[0][1] - found[0].stations[0][1] >= 3 * 3_600_000_000


def test_items_of_a_step_are_timed_one_by_one_and_tell_one_path(directory: Path, choreo: Choreo) -> None:
    """The step is a station once all of it is done; its undo is one, however many items are undone."""
    write_kiosk(directory)
    baskets = [{"basket": "b1", "lines": ["x", "y"], "total": 5}, {"basket": "b2", "lines": ["x", "y"], "total": 500}]
    choreo("emit", "kiosk.py:BasketSent", "-", text="\n".join(map(json.dumps, baskets)))
    choreo("run", "--until-idle")
    row = json.loads(choreo("sagas", "conformance", "basket", "--json").stdout)
    assert sorted(tuple(one["path"]) for one in row["paths"]) == [
        ("pack", "pay", "completed"),
        ("pack", "pay failed", "undo pack", "compensated"),
    ]
    assert {one["step"]: one["count"] for one in row["steps"]} == {"pack": 4, "pay": 2}


# -- the command -------------------------------------------------------------------------------------------------------

RUN = ("run", "shop.py", "order.yaml", "--until-idle")


@pytest.fixture
def ran(project: Path, choreo: Choreo) -> Path:
    """Three orders: one is paid, one declined, and one paid by an event from outside."""
    settings = '[project]\nservices = ["shop"]\nsagas = "order.yaml"\n'
    (project / "choreo.toml").write_text(settings, encoding="utf-8")
    spec = project / "order.yaml"
    spec.write_text(spec.read_text("utf-8").replace("within: 1h", "within: 1h\nremember: [total]"), encoding="utf-8")
    orders = [{"order_id": f"o{total}", "total": total} for total in (20, 250, 0)]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(map(json.dumps, orders)))
    for alone in ("shop.py:inventory", "shop.py:payments"):  # one after the other: the stock is reserved first
        choreo("run", alone, "--until-idle")
    choreo(*RUN)
    choreo("emit", "shop.py:PaymentTaken", "order_id=o0")
    choreo(*RUN)
    return project


def test_the_command_tells_paths_ends_and_what_does_not_fit(ran: Path, choreo: Choreo) -> None:
    """Exit code 1 where something does not fit; SPEC is a saga or a file."""
    for spec in ("order", "order.yaml"):
        row = json.loads(choreo("sagas", "conformance", spec, "--json", code=1).stdout)
        assert (row["sagas"], row["fit"], row["kinds"]) == (3, 2, {"emitter": 1})
        assert row["ends"] == {"completed": 2, "compensated: pay failed (PaymentDeclined)": 1}
        assert {"path": ["reserve", "pay failed", "undo reserve", "compensated"], "count": 1} in row["paths"]
        (misfit,) = row["misfits"]
        assert (misfit["key"], misfit["step"]) == ("o0", "pay")
        assert choreo("trace", str(UUID(misfit["event_id"]))).stdout.count("PaymentTaken o0  from outside") == 1
    lines = choreo("sagas", "conformance", "order", code=1).stdout
    assert "saga order: 2 of 3 fit (3 of version 1)" in lines
    assert "shop.PaymentTaken came from outside, not from payments" in lines
    assert choreo("sagas", "conformance", "order", "--since", "2020-01-01", "--to", "2020-01-02").exit_code == 0
    assert "no saga ordr" in choreo("sagas", "conformance", "ordr", code=2).stderr


def test_sagas_are_chosen_by_what_they_know(ran: Path, choreo: Choreo) -> None:
    """--where asks each saga as its events leave it, as `sagas list` does; a name that none has is a mistake."""
    row = json.loads(choreo("sagas", "conformance", "order", "--where", "saga.total == 250", "--json").stdout)
    assert (row["sagas"], row["fit"], row["ends"]) == (1, 1, {"compensated: pay failed (PaymentDeclined)": 1})
    said = ("sagas", "conformance", "order", "--where", "steps.pay.status == 'done' && saga.total < 10", "--json")
    row = json.loads(choreo(*said, code=1).stdout)
    assert (row["sagas"], [one["key"] for one in row["misfits"]]) == (1, ["o0"])
    assert "saga.total" in choreo("sagas", "conformance", "order", "--where", "saga.totl > 1", code=2).stderr


def test_how_often_and_how_fast_each_edge_was_gone(ran: Path, choreo: Choreo) -> None:
    """Edge by edge of the spec: of those that came to where it begins so many went there, in so much time."""
    edges = json.loads(choreo("sagas", "conformance", "order", "--json", code=1).stdout)["edges"]
    told = {(edge["from"], edge["to"]): edge for edge in edges}
    assert {way: (edge["count"], edge["of"]) for way, edge in told.items()} == {
        ("start", "reserve"): (3, 3),
        ("start", "pay"): (2, 3),
        ("reserve", "completed"): (2, 3),
        ("pay", "completed"): (2, 2),
        ("reserve", "undo reserve"): (1, 3),
        ("undo reserve", "compensated"): (1, 1),
    }
    assert all(edge["declared"] and 0 <= edge["p50_us"] <= edge["p95_us"] <= edge["max_us"] for edge in edges)
    lines = choreo("sagas", "conformance", "order", code=1).stdout.splitlines()
    (line,) = [one for one in lines if "start -> pay" in one]
    assert line.split()[3:5] == ["2", "67%"]


def test_an_archive_tells_the_same(ran: Path, choreo: Choreo) -> None:
    """Without the log from which it was written: the same judgement, and the same story but for what stores know."""
    choreo("archives", "write", "--to", "archive")
    from_archive = ("--log", "memory:", "--archive", "archive", "--registry", "dir:archive/schemas", "--json")
    for asked, code in ((("sagas", "conformance", "order"), 1), (("trace", "o250"), 0)):
        assert choreo(*asked, *from_archive, code=code).stdout == choreo(*asked, "--json", code=code).stdout


def test_what_happened_is_drawn_over_the_spec(ran: Path, choreo: Choreo) -> None:
    """Boxes and arrows say how often, and whether they were declared and seen."""
    choreo("sagas", "conformance", "order", "--diagram", "pictures", code=1)
    drawn = (ran / "pictures" / "order-runs.mmd").read_text(encoding="utf-8")
    assert "what 3 sagas went through" in drawn
    assert "classDef seen" in drawn
    assert "3 times" in drawn
    svg = (ran / "pictures" / "order-runs.svg").read_text(encoding="utf-8")
    assert '<g class="box step seen" data-name="step pay">' in svg


def test_nothing_live_is_touched(ran: Path, choreo: Choreo) -> None:
    """Topics, their ends, what groups have committed and the state directory are the same after as before."""

    def live() -> object:
        topics = choreo("topics", "list", "--json").stdout
        lag = [json.loads(line)["inputs"] for line in choreo("services", "lag", "--json").stdout.splitlines()]
        stores = (path for path in (ran / ".choreo" / "log" / "state").rglob("*") if path.is_file())
        return topics, lag, {path: path.read_bytes() for path in stores}

    before = live()
    choreo("sagas", "conformance", "order", code=1)
    assert live() == before
