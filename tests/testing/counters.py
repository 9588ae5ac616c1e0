"""A small service for tests of scenarios: it counts what is put into boxes."""

from datetime import timedelta

from choreo import Context, Event, GiveUp, Handler, Retry, Service, Settings, Store, Timer
from choreo.types import Json


class BoxEvent(Event, namespace="boxes", topic="boxes", key="box", abstract=True):
    box: str


class Put(BoxEvent):
    pieces: int = 1


class Counted(BoxEvent):
    total: int


class Full(BoxEvent):
    label: str = ""


class Forgotten(BoxEvent): ...


class Scanned(Event, namespace="boxes", topic="scanner", key="box", external=True, wire=Json()):
    """The scanner's own words."""

    box: str


class TooMuchError(Exception):
    """A box holds nine pieces."""


class JamError(Exception):
    """The conveyor stands still; it may go on later."""


class Conveyor:
    """Something outside: keeps what it carried, and may be jammed."""

    def __init__(self) -> None:
        self.carried: list[str] = []
        self.jammed = False

    def carry(self, key: str, box: str) -> int:
        if self.jammed:
            raise JamError("a box lies across")
        self.carried.append(box)
        return len(self.carried)

    async def carry_slowly(self, key: str, box: str) -> int:
        return self.carry(key, box)


class CountPieces(Handler[Put]):
    """Say the new total; a full box says so too."""

    totals = Store[str, int](default=0)
    idle = Timer[str]()
    retry = Retry(attempts=3, wait_s=60)

    def handle(self, put: Put, ctx: Context) -> list[Counted | Full]:
        if put.pieces > 9:
            raise TooMuchError("nine at most")
        total = self.totals[put.box] + put.pieces
        self.totals[put.box] = total
        self.idle.set(put.box, after=timedelta(hours=1))
        counted = Counted(box=put.box, total=total)
        return [counted, Full(box=put.box)] if total >= 3 else [counted]

    @idle.due
    def forget(self, box: str, ctx: Context) -> Forgotten:
        del self.totals[box]
        return Forgotten(box=box)


class CarryBox(Handler[Full]):
    """Have full boxes carried away."""

    conveyor: Conveyor
    carried = Store[str, int]()
    retry = Retry(attempts=3, wait_s=60)

    def handle(self, full: Full, ctx: Context) -> None:
        self.carried[full.box] = ctx.call("carry", self.conveyor.carry, full.box)


class CarryOften(Handler[Full]):
    """Ask the conveyor many times, one after the other."""

    conveyor: Conveyor

    async def handle(self, full: Full, ctx: Context) -> Counted:
        last = 0
        for number in range(5):
            last = await ctx.call(f"carry {number}", self.conveyor.carry_slowly, full.box)
        return Counted(box=full.box, total=last)


class CountAll(Handler[Put]):
    """A mistake: it counts in the process, and so by partition."""

    def handle(self, put: Put, ctx: Context) -> Counted:
        tally = self.__dict__.setdefault("tally", [])
        tally.append(put)
        return Counted(box=put.box, total=len(tally))


class KeepTally(Handler[Put]):
    """The same mistake, in a store."""

    tally = Store[str, int]()

    def handle(self, put: Put, ctx: Context) -> None:
        seen = self.__dict__.setdefault("seen", [])
        seen.append(put)
        self.tally[put.box] = len(seen)


class Secrets(Settings):
    """Nothing that a test has."""

    token: str


class NeedsSecret(Handler[Full]):
    """Its conveyor is opened with a secret."""

    conveyor: Conveyor

    def handle(self, full: Full, ctx: Context) -> None: ...


class HearScanner(Handler[Scanned]):
    """Reads the scanner's topic as it is."""

    scans = Store[str, int](default=0)

    def handle(self, scanned: Scanned, ctx: Context) -> Full:
        if scanned.box == "smudged":
            raise GiveUp("it can't be read")
        self.scans[scanned.box] += 1
        return Full(box=scanned.box, label=str(ctx.event_id))


class HearScannerByBox(HearScanner):
    """Reads it through a relay, as what is foreign should be."""

    keyed_by = "box"


boxes = Service("boxes", handlers=[CountPieces])
carriers = Service("carriers", handlers=[CarryBox], provide={"conveyor": Conveyor})
scanner = Service("scanner", handlers=[HearScanner])
relayed = Service("relayed", handlers=[HearScannerByBox])
careless = Service("careless", handlers=[CountAll])
busy = Service("busy", handlers=[CarryOften], provide={"conveyor": Conveyor})
