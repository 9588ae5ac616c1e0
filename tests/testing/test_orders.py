"""Orders in a story: each is the event that the console gives."""

import pytest

from choreo.saga.commands import SagaCommand, order_of
from choreo.saga.decision import Cancel, Order, Resolve, Retry, Skip
from choreo.testing import cancel, resolve, retry, skip


@pytest.mark.parametrize(
    ("command", "order"),
    [
        (cancel("order", "o1"), Cancel()),
        (skip("order", "o1", "pay"), Skip("pay")),
        (retry("order", "o1", "pay"), Retry("pay")),
        (resolve("order", "o1", "pay", "compensated"), Resolve("pay", "compensated")),
    ],
)
def test_an_order_is_the_event_that_an_operator_would_give(command: SagaCommand, order: Order) -> None:
    """To that saga, under its key, on the topic of its coordinator."""
    assert order_of(command) == order
    assert (command.key, command.contract.topic) == ("o1", "choreo.saga.order.commands")
