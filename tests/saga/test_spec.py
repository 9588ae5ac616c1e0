"""Specs: what a file says, as values."""

from dataclasses import replace
from pathlib import Path

import pytest

from choreo.errors import SpecError
from choreo.saga.clauses import Computed, OnTimeout, Reference, SagaKey
from choreo.saga.spec import load_spec
from tests.saga.shop import EVENTS, ORDER, changed, problems, spec_of

H = 3_600_000_000


def test_a_spec_says_what_the_file_says() -> None:
    """Names are full names, times are microseconds, what a step leaves out comes from the saga."""
    spec = spec_of()
    assert (spec.name, spec.version, spec.starts_on) == ("order", 1, "shop.OrderPlaced")
    reserve, pay, ship, deliver = spec.steps
    assert (reserve.within_us, pay.within_us) == (30_000_000, H)
    assert reserve.compensate is not None
    assert (reserve.compensate.attempts, reserve.compensate.wait_us) == (2, 10_000_000)
    assert reserve.compensate.done_on == ("shop.StockReleased",)
    assert (ship.after, deliver.after, deliver.pivot) == (("reserve", "pay"), ("ship",), True)
    assert deliver.on_timeout == OnTimeout("escalate")
    assert ship.emit is not None
    assert ship.emit.fields == {"order_id": SagaKey(), "warehouse": Reference(None, "warehouse")}
    assert (spec.keep_early_us, spec.keep_ended_us, spec.refuse_again_us) == (24 * H, 30 * 24 * H, 365 * 24 * H)


def test_an_instance_remembers_just_what_is_read() -> None:
    """Fields that conditions, mappings and requests read are worked out; `remember` adds to them."""
    spec = spec_of()
    assert spec.remembers == ("total", "warehouse")
    assert spec.by_name["pay"].keeps == ("amount",)
    assert spec.needs["shop.PaymentTaken"] == ("amount",)
    plain = "{saga: s, version: 1, namespace: shop, starts_on: OrderPlaced, correlate_by: order_id, within: 1m, steps: "
    plain += "[{name: a, completes_on: StockReserved, compensate: none}]%s}"
    assert spec_of(plain % "").remembers == ()
    assert spec_of(plain % ", remember: [total]").remembers == ("total",)


def test_what_an_event_means_is_found_by_its_name() -> None:
    """All roles of an event and all that may be emitted follow from the steps."""
    spec = spec_of()
    assert [part.role for part in spec.parts["shop.PaymentUnknown"]] == ["unknown"]
    assert [part.role for part in spec.parts["shop.OrderCancelled"]] == ["cancels"]
    assert set(spec.emits) == {
        "shop.CancellationRefused",
        "shop.StockReleaseRequested",
        "shop.RefundRequested",
        "shop.ShipmentRequested",
        "shop.ParcelRecallRequested",
    }
    assert spec.followers["reserve"] == {"ship", "deliver"}
    assert spec.before["deliver"] == {"reserve", "pay", "ship"}


def test_the_digest_is_of_the_content() -> None:
    """Comments, layout and short names don't matter; every rule does."""
    digest = spec_of().digest
    assert len(digest) == 64
    assert spec_of("# a comment\n" + ORDER.replace("\n\n", "\n")).digest == digest
    assert spec_of(changed(("completes_on: StockReserved", "completes_on: [shop.StockReserved]"))).digest == digest
    for pair in (("within: 30s", "within: 31s"), ("saga.total > 0", "saga.total > 1"), ("attempts: 2", "attempts: 4")):
        assert spec_of(changed(pair)).digest != digest
    assert replace(spec_of(), version=2).digest != digest


def test_a_timeout_may_fail_retry_or_escalate() -> None:
    """Each answer to a timeout can be written; a plain retry asks three times."""
    ask = ("    within: 2d\n", "    on_timeout: %s\n")
    for written, meant in (
        ("fail", OnTimeout()),
        ("escalate", OnTimeout("escalate")),
        ("retry", OnTimeout("retry", 3)),
        ("{retry: {attempts: 5, wait: 10s}}", OnTimeout("retry", 5, 10_000_000)),
    ):
        assert spec_of(changed((ask[0], ask[1] % written))).by_name["ship"].on_timeout == meant


def test_events_may_be_correlated_by_different_fields() -> None:
    """A map names the field of each event; an emitted event gets the key in its own."""
    text = """\
saga: parcel
version: 1
namespace: shop
starts_on: OrderPlaced
correlate_by: {OrderPlaced: warehouse, StockReserved: order_id, ShipmentRequested: warehouse}
within: 1m
steps:
  - {name: ship, emit: ShipmentRequested, completes_on: StockReserved, compensate: none}
"""
    spec = spec_of(text.replace("ShipmentRequested,", "{event: ShipmentRequested, with: {order_id: \"'x'\"}},"))
    assert spec.correlate_by["shop.OrderPlaced"] == "warehouse"
    emit = spec.by_name["ship"].emit
    assert emit is not None
    assert emit.fields["warehouse"] == SagaKey()
    assert isinstance(emit.fields["order_id"], Computed)
    missing = text.replace("StockReserved: order_id, ", "")
    assert "error[no-correlation]: correlate_by names no field of shop.StockReserved" in problems(missing)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    """A missing file and bytes that are no text are SpecErrors that say so."""
    with pytest.raises(SpecError, match="can't be read"):
        load_spec(tmp_path / "missing.yaml", EVENTS)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="is not UTF-8 text"):
        load_spec(tmp_path / "bytes.yaml", EVENTS)
    (tmp_path / "order.yaml").write_text(ORDER)
    assert load_spec(tmp_path / "order.yaml", EVENTS) == spec_of()
