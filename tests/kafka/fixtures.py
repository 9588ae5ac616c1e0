"""Fixtures of a real broker: `kafka_bootstrap`, `kafka_url`, and `own_broker` for tests that kill theirs."""

import os
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.java import NotHereError
from tests.kafka.broker import Broker, any_broker

_said: list[str] = []


def no_broker(reason: str) -> None:
    """Skip with one loud line; where CI must prove it (CI=true), fail."""
    line = f"NO KAFKA: the tests against a real broker do not run here: {reason}"
    if not _said:
        _said.append(line)
        print(f"\n!!! {line} !!!", file=sys.__stderr__, flush=True)
    if os.environ.get("CI") == "true":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """host:port of the broker that all tests share: KAFKA_BOOTSTRAP, or one of our own."""
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        yield given
        return
    try:
        reason = os.environ.get("CHOREO_NO_KAFKA")
        if reason:
            raise NotHereError(reason)
        broker = any_broker()
    except NotHereError as error:
        no_broker(str(error))
        return
    try:
        yield broker.bootstrap
    finally:
        broker.__exit__()


@pytest.fixture
def kafka_url(kafka_bootstrap: str) -> str:
    """A URL whose prefix no other test has."""
    return f"kafka://{kafka_bootstrap}?prefix=test-{uuid4().hex[:10]}"


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """A broker that the test may kill and start again."""
    try:
        broker = Broker().__enter__()
    except NotHereError as error:
        no_broker(str(error))
        return
    try:
        yield broker
    finally:
        broker.__exit__()
