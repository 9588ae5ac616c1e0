"""Where the sagas of a run stand, in the same form as what is expected; and handmade cases."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from choreo.demo.purchase_run import cast_of_purchasing, instances
from choreo.demo.run import Stage
from choreo.events.registry import MemoryRegistry
from choreo.log.memory import MemoryLog
from choreo.saga.explain import waits_for
from choreo.saga.instance import StepState
from choreo.state.memory import MemoryBackends
from tests.purchasing.expected import Expected

HEADER = "case_id,seq,activity,timestamp,item_category"
CREATE, GOODS, SHEET = "Create Purchase Order Item", "Record Goods Receipt", "Record Service Entry Sheet"
NO_GOODS, INVOICE, NO_INVOICE = "Cancel Goods Receipt", "Record Invoice Receipt", "Cancel Invoice Receipt"
CLEAR, DELETE, REACTIVATE = "Clear Invoice", "Delete Purchase Order Item", "Reactivate Purchase Order Item"

CASES: Mapping[str, tuple[str, Sequence[str]]] = {
    "through": ("", ["SRM: Created", CREATE, GOODS, "Vendor creates invoice", INVOICE, CLEAR, "Change Quantity"]),
    "invoice_first": ("3-way match, invoice before GR", [CREATE, INVOICE, SHEET, GOODS, CLEAR]),
    "no_goods": ("", [CREATE, INVOICE, CLEAR]),
    "nothing": ("", [CREATE]),
    "goods_cancelled": ("", [CREATE, GOODS, GOODS, INVOICE, NO_GOODS]),
    "goods_again": ("", [CREATE, GOODS, NO_GOODS, NO_GOODS, GOODS, INVOICE, CLEAR]),
    "reopened": ("", [CREATE, GOODS, INVOICE, CLEAR, NO_GOODS]),
    "paid_again": ("", [CREATE, GOODS, INVOICE, CLEAR, NO_INVOICE, INVOICE, CLEAR]),
    "paid_for_another": ("", [CREATE, GOODS, INVOICE, CLEAR, NO_INVOICE, INVOICE]),
    "deleted": ("", [CREATE, GOODS, DELETE]),
    "deleted_then_goods": ("", [CREATE, DELETE, GOODS, NO_GOODS, GOODS]),
    "deleted_and_emptied": ("", [CREATE, GOODS, INVOICE, DELETE, NO_GOODS, NO_INVOICE]),
    "deleted_when_through": ("", [CREATE, GOODS, INVOICE, CLEAR, DELETE]),
    "reactivated": ("", [CREATE, DELETE, REACTIVATE, GOODS, INVOICE, CLEAR]),
    "two_way": ("2-way match", [CREATE, "Release Purchase Order", INVOICE, CLEAR]),
    "two_way_goods": ("2-way match", [CREATE, GOODS, NO_GOODS, INVOICE]),
    "consignment": ("Consignment", [CREATE, GOODS]),
    "consignment_cancelled": ("Consignment", [CREATE, GOODS, NO_GOODS]),
}
"""Each a rule of its own: category, activities."""


def write_cases(directory: Path, cases: Mapping[str, tuple[str, Sequence[str]]] = CASES) -> Path:
    """A directory with an events.csv; the cases' lines are mixed, as are their minutes."""
    lines = [
        (number, f"{case_id},{number},{activity},2018-01-{1 + (7 * number) % 3:02}T08:00:00+00:00,{category}")
        for case_id, (category, activities) in cases.items()
        for number, activity in enumerate(activities)
    ]
    directory.mkdir(exist_ok=True)
    (directory / "events.csv").write_text("\n".join([HEADER, *(line for _, line in sorted(lines))]) + "\n")
    return directory


def stage(partitions: int = 2) -> Stage:
    return Stage(MemoryLog(cluster="purchasing"), MemoryRegistry(), MemoryBackends(), partitions)


def standing(at: Stage) -> dict[str, Expected]:
    """Every case of a run that is over."""

    def found() -> Iterator[tuple[str, Expected]]:
        cast = cast_of_purchasing()
        for one in instances(at, cast):
            there = frozenset(name for name, record in one.steps.items() if record.state is StepState.DONE)
            yield one.key, Expected(one.status, waits_for(cast.spec, one), there)

    return dict(found())
