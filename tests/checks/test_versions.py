"""A change of a spec against what is deployed."""

from dataclasses import replace

from choreo.checks.choreography import Deployed
from choreo.checks.every import find_all
from choreo.checks.versions import stranded
from tests.checks.town import airline, changed, hotel, said, spec_file, town

OLD = spec_file(changed(("version: 3", "version: 2"), ("    fails_on: RoomRefused\n", ""))).spec
NOW = spec_file().spec


def deployed(**more: object) -> Deployed:
    return replace(Deployed("trip", OLD.version, OLD.digest, OLD), **more)  # type: ignore[arg-type]  # fields by name


def test_the_version_that_is_deployed_is_fine() -> None:
    """The same content under the same number, and an older version with instances that can go on: nothing to say."""
    same = Deployed("trip", NOW.version, NOW.digest, NOW, running=("t1",))
    assert list(find_all(town(deployed=(same, deployed(running=("t2",)))))) == []


def test_a_version_number_that_is_taken() -> None:
    """Another content under a deployed number is an error at the number, with the next free one."""
    taken = Deployed("trip", 3, "another", NOW)
    (found,) = find_all(town(deployed=(deployed(), taken)))
    assert (found.code, str(found.spot), found.cure) == ("version-taken", "trip.yaml:2:10", "version: 4")
    assert found.message == "saga trip: version 3 was deployed with another content"


def test_instances_whose_answers_nobody_gives_any_more() -> None:
    """Instances under way that wait for what no handler returns any more are named; ended ones strand nobody."""
    text = changed(("    emit: FlightWanted\n    completes_on: FlightBooked\n", "    completes_on: RoomHeld\n"))
    old = deployed(running=("t1", "t2", "t3", "t4"))
    who = "4 instances of saga trip (t1, t2, t3, ...) could not go on with version 2"
    assert said(town(hotel, text=text, deployed=(old,)), "strands-instances") == [
        f"{who}: no handler returns town.FlightBooked",
        f"{who}: no handler takes town.FlightWanted",
    ]
    assert said(town(hotel, text=text, deployed=(deployed(),)), "strands-instances") == []


def test_what_becomes_of_stranded_instances_under_the_new_version() -> None:
    """Where it was worked out, the message counts them and the cure is to take over those that can be."""
    text = changed(("    emit: FlightWanted\n    completes_on: FlightBooked\n", "    completes_on: RoomHeld\n"))
    keep = "keep what that version needs until"
    for outcomes, under, cure in (
        ({}, "", f"{keep} they have ended"),
        ({"stays": 2}, "; under version 3: 2 stays", f"{keep} they have ended"),
        ({"safe": 2}, "; under version 3: 2 safe", "choreo sagas migrate trip --to 3, once it is deployed"),
        (
            {"needs mapping": 1, "stays": 1},
            "; under version 3: 1 needs mapping, 1 stays",
            f"choreo sagas migrate trip --to 3, once it is deployed; {keep} the others have ended",
        ),
    ):
        whole = town(hotel, text=text, deployed=(deployed(running=("t1", "t2"), outcomes=outcomes),))
        found = [one for one in find_all(whole) if one.code == "strands-instances"]
        assert {one.cure for one in found} == {cure}
        assert all(one.message.endswith(f"FlightBooked{under}") or "takes" in one.message for one in found)


def test_only_who_can_go_nowhere_is_looked_at() -> None:
    """Who is stranded, and has another version to go to: not those who can go on, nor those who follow it already."""
    text = changed(("    emit: FlightWanted\n    completes_on: FlightBooked\n", "    completes_on: RoomHeld\n"))
    here = town(hotel, text=text)
    same = Deployed("trip", 3, here.specs[0].spec.digest, here.specs[0].spec, running=("t3",))
    old = deployed(running=("t1",))
    every = (old, deployed(), same, replace(old, saga="journey"))
    assert [one for one, _ in stranded(replace(here, deployed=every))] == [old]
    assert list(stranded(town(deployed=(old,)))) == []


def test_instances_whose_version_cannot_be_read_any_more() -> None:
    """A version that today's events can't carry strands who follows it."""
    gone = deployed(spec=None, problem="there is no event town.TrainBooked", running=("t1",))
    assert said(town(deployed=(gone,)), "strands-instances") == [
        "1 instance of saga trip (t1) could not go on with version 2: there is no event town.TrainBooked"
    ]


def test_instances_whose_saga_is_gone() -> None:
    """A saga that the project no longer has, with instances under way, is an error; only the whole project can tell."""
    other = deployed(saga="journey", running=("j1",))
    message = "1 instance of saga journey (j1) would be followed by nobody: the project has no spec of it"
    assert said(town(deployed=(other,)), "strands-instances") == [message]
    assert said(town(hotel, airline, whole=False, deployed=(other,)), "strands-instances") == []
