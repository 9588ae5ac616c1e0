"""A change of a spec against what is deployed."""

from dataclasses import replace

from choreo.checks.choreography import Deployed
from choreo.checks.every import find_all
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
