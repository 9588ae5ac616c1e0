"""A desk whose clerks work for one case of a customer at a time: sagas that exclude each other, as a simulation."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

from choreo import Context, Event, Handler, Service, Store, Timer
from choreo.saga.locks import LockKeeper
from choreo.testing import Faults, Simulation, World

SPEC = Path(__file__).parent / "desk.yaml"
CUSTOMERS, CASES = 3, 20


class CaseEvent(Event, namespace="desk", topic="desk.cases", key="case", abstract=True):
    """What is said of a case."""

    case: str


class Opened(CaseEvent):
    customer: str


class Closed(CaseEvent): ...


class Checked(CaseEvent): ...


class CheckRefused(CaseEvent): ...


class Stopped(CaseEvent): ...


class Filed(CaseEvent): ...


class WorkEvent(Event, namespace="desk", topic="desk.work", key="customer", abstract=True):
    """What is asked of the clerk of a customer."""

    customer: str
    case: str


class CheckWanted(WorkEvent): ...


class StopWanted(WorkEvent): ...


class FileWanted(WorkEvent): ...


class Clashed(WorkEvent):
    """A clerk was asked to begin a case in the midst of another one."""


class Clerk(Handler[CheckWanted | StopWanted | FileWanted]):
    """Checks take a while; until it is filed or stopped, a clerk has the case of a customer on the table."""

    table = Store[str, str](default="")
    patience = Timer[tuple[str, str]]()

    def handle(
        self, asked: CheckWanted | StopWanted | FileWanted, ctx: Context
    ) -> Clashed | CheckRefused | Stopped | Filed | None:
        if isinstance(asked, CheckWanted):
            if self.table[asked.customer] not in ("", asked.case):
                return Clashed(customer=asked.customer, case=asked.case)
            if asked.case.endswith("7"):
                return CheckRefused(case=asked.case)
            self.table[asked.customer] = asked.case
            self.patience.set((asked.customer, asked.case), after=timedelta(seconds=ctx.random.randint(1, 60)))
            return None
        if self.table[asked.customer] == asked.case:
            self.table[asked.customer] = ""
        if isinstance(asked, FileWanted):
            return Filed(case=asked.case)
        self.patience.cancel((asked.customer, asked.case))
        return Stopped(case=asked.case)

    @patience.due
    def checked(self, work: tuple[str, str], ctx: Context) -> Checked:
        return Checked(case=work[1])


class Door(Handler[Clashed]):
    """Somebody wants to know of clashes."""

    def handle(self, clash: Clashed, ctx: Context) -> None: ...


desk = Service("desk", handlers=[Clerk, Door])
simulation = Simulation(desk, sagas=[SPEC], faults=Faults(crash=0.02))


@simulation.workload
def cases(random: Random) -> Iterator[tuple[timedelta, Event]]:
    """Twenty cases of three customers, within a minute; one in five is closed at some time."""
    for number in range(CASES):
        case = f"c{number}"
        yield timedelta(seconds=random.randint(0, 3)), Opened(case=case, customer=f"u{number % CUSTOMERS}")
        if random.random() < 0.2:
            yield timedelta(seconds=random.randint(0, 3)), Closed(case=f"c{random.randint(0, number)}")


@simulation.always
def nobody_clashes(world: World) -> None:
    """No clerk is asked to begin a case in the midst of another one of the customer."""
    assert not world.events(Clashed), world.events(Clashed)


@simulation.at_rest
def every_saga_ends_and_no_lock_is_held(world: World) -> None:
    """Each case is completed, compensated or cancelled, and has given its lock back."""
    stands = world.sagas("desk")
    assert sorted(stands) == sorted(f"c{number}" for number in range(CASES))
    assert set(stands.values()) <= {"completed", "compensated", "cancelled"}, stands
    assert not world.store(LockKeeper.lines), world.store(LockKeeper.lines)
