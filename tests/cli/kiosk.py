"""A project whose saga packs each line of a basket, then asks for the money; where that fails all is unpacked."""

from pathlib import Path

KIOSK = '''
"""Lines named stuck can't be unpacked, slow ones are never packed; a total above 100 is refused, one of 13 fails."""

from choreo import Context, Event, Handler, Retry, Service


class BasketEvent(Event, namespace="kiosk", topic="baskets", key="basket", abstract=True):
    basket: str


class BasketSent(BasketEvent):
    lines: tuple[str, ...]
    total: int


class PackWanted(BasketEvent):
    line: str


class Packed(BasketEvent):
    line: str


class UnpackWanted(BasketEvent):
    line: str


class Unpacked(BasketEvent):
    line: str


class UnpackFailed(BasketEvent):
    line: str


class PayWanted(BasketEvent):
    total: int


class Paid(BasketEvent):
    cents: int
    note: str = ""


class Refused(BasketEvent): ...


class Pack(Handler[PackWanted]):
    def handle(self, wanted: PackWanted, ctx: Context) -> Packed | None:
        return None if wanted.line == "slow" else Packed(basket=wanted.basket, line=wanted.line)

    def compensate(self, wanted: UnpackWanted, ctx: Context) -> Unpacked | UnpackFailed:
        return (UnpackFailed if wanted.line == "stuck" else Unpacked)(basket=wanted.basket, line=wanted.line)


class Pay(Handler[PayWanted]):
    retry = Retry(attempts=1)

    def handle(self, wanted: PayWanted, ctx: Context) -> Paid | Refused | None:
        if wanted.total == 13:
            raise ConnectionError("the bank is away")
        if wanted.total == 0:
            return None
        if wanted.total > 100:
            return Refused(basket=wanted.basket)
        return Paid(basket=wanted.basket, cents=wanted.total)


kiosk = Service("kiosk", handlers=[Pack, Pay])
'''

BASKET = """
saga: basket
version: 1
namespace: kiosk
starts_on: BasketSent
correlate_by: basket
within: 1h
steps:
  - name: pack
    for_each: saga.lines
    item_key: line
    emit: PackWanted
    completes_on: Packed
    compensate: {emit: UnpackWanted, done_on: Unpacked, fails_on: UnpackFailed, attempts: 1}
  - name: pay
    after: pack
    emit: PayWanted
    completes_on: Paid
    fails_on: Refused
    compensate: none
"""


def write_kiosk(directory: Path) -> None:
    """kiosk.py, basket.yaml and a choreo.toml."""
    (directory / "kiosk.py").write_text(KIOSK, encoding="utf-8")
    (directory / "basket.yaml").write_text(BASKET, encoding="utf-8")
    (directory / "choreo.toml").write_text('[project]\nservices = ["kiosk"]\nsagas = "*.yaml"\n', encoding="utf-8")
