"""Bad input as only Kafka has it: what foreign clients write, and topics that are not as a service needs them."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from choreo.clock import SystemClock
from choreo.errors import PartitionCountError, StartError, UnknownTopicError
from choreo.events.registry import MemoryRegistry
from choreo.log.interface import TopicSpec
from choreo.log.kafka import KafkaLog
from choreo.record import TopicPartition
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics, topics_of
from choreo.runtime.worker import Worker
from choreo.state.memory import MemoryBackends
from tests.badinput.post import (
    IN,
    OUT,
    caught_up,
    letters,
    parcels,
    post,
    running,
    sorted_parcels,
    step_until,
    wait_for,
)

TEN_MEGABYTES = 10_000_000
PLAN = plan_of(post)


@pytest.fixture
def log(kafka_url: str) -> Iterator[KafkaLog]:
    with KafkaLog.from_url(kafka_url) as log:
        yield log


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


def foreign(log: KafkaLog, **settings: str) -> tuple[Producer, str]:
    """A client that is not ours, and how it calls the topic of parcels."""
    brokers, _, prefix = log.url.removeprefix("kafka://").partition("?prefix=")
    named = {key.replace("_", "."): value for key, value in settings.items()}
    return Producer({"bootstrap.servers": brokers, "log_level": 0, **named}), f"{prefix}.{IN}"


def test_a_record_of_ten_megabytes_is_kept_whole(log: KafkaLog, registry: MemoryRegistry) -> None:
    """A topic takes more than ours do: what no dead-letter topic takes is kept in parts, every byte of it."""
    log.create_topics([TopicSpec(IN, 2, {"max.message.bytes": "12000000"})])
    create_topics(log, [PLAN], 2)
    producer, topic = foreign(log, message_max_bytes="12000000")
    large = bytes(n * 7 % 251 for n in range(1_000)) * (TEN_MEGABYTES // 1_000)
    log.append(parcels(log, registry, "before"))
    for number in (0, 1):
        producer.produce(topic, large, b"big", number, headers=[("trace", b"\0\xff")])
    assert producer.flush(30) == 0
    log.append(parcels(log, registry, "after"))
    with running(log, registry, MemoryBackends()):
        wait_for(lambda: caught_up(log))
    assert sorted_parcels(log, registry) == {("before", 1): 1, ("after", 1): 1}
    found = letters(log)
    assert [letter.door for letter, _ in found] == ["decode", "decode"]
    assert {letter.origin.partition for letter, _ in found} == {0, 1}
    for _, record in found:
        assert (record.key, record.value, record.headers[0]) == (b"big", large, ("trace", b"\0\xff"))


def test_headers_that_are_none_or_no_text_stop_nothing(log: KafkaLog, registry: MemoryRegistry) -> None:
    """Other languages write headers without a value, and names that are not UTF-8: what follows them is handled."""
    create_topics(log, [PLAN], 1)
    producer, topic = foreign(log)
    (good,) = parcels(log, registry, "good")
    producer.produce(topic, good.value, good.key, 0, headers=[("choreo", None)])
    producer.produce(topic, good.value, good.key, 0, headers=[("other", None)])
    producer.produce(topic, good.value, good.key, 0, headers=[(b"\xff\xfe", b"x")])  # type: ignore[list-item]  # bytes go, too
    assert producer.flush(30) == 0
    log.append([good])
    with running(log, registry, MemoryBackends()):
        wait_for(lambda: caught_up(log))
    done, dead = sorted_parcels(log, registry), letters(log)
    assert sum(done.values()) + len(dead) == 4
    assert ("good", 2) in done
    assert [record.value for _, record in dead] == [good.value] * len(dead)


def test_a_missing_topic_is_named_and_once_it_is_there_the_service_starts(
    log: KafkaLog, registry: MemoryRegistry
) -> None:
    """A worker makes no topics: it says which are missing and how to make them, and joins no group before."""
    site = Site(log, registry, MemoryBackends(), SystemClock())
    options = RunOptions(start_from="earliest")
    specs = topics_of(PLAN, 1)
    log.create_topics([spec for spec in specs if spec.name != "choreo.post.changelog"])
    log.append(parcels(log, registry, "waiting"))
    with pytest.raises(UnknownTopicError, match=r"choreo\.post\.changelog") as raised:
        Worker(post, site, options).start()
    assert raised.value.hint == "choreo topics apply"
    assert list(log.committed(post.scope, [TopicPartition(IN, 0)]).values()) == [None]
    log.create_topics(specs)
    worker = Worker(post, site, options)
    worker.start()
    step_until(worker, lambda: caught_up(log), site.clock)
    worker.stop()
    assert sorted_parcels(log, registry) == {("waiting", 1): 1}


def test_a_wrong_partition_count_is_refused_and_nothing_is_read(log: KafkaLog, registry: MemoryRegistry) -> None:
    """Somebody made the changelog with another count: the error shows both, and mending it is all that is needed."""
    log.create_topics([spec for spec in topics_of(PLAN, 2) if spec.name != "choreo.post.changelog"])
    log.create_topics([TopicSpec("choreo.post.changelog", 3)])
    log.append(parcels(log, registry, "waiting"))
    site = Site(log, registry, MemoryBackends(), SystemClock())
    with pytest.raises(PartitionCountError, match=r"post\.parcels 2, .*choreo\.post\.changelog 3") as raised:
        Worker(post, site, RunOptions(start_from="earliest")).start()
    assert raised.value.hint is not None
    inputs = [TopicPartition(IN, number) for number in (0, 1)]
    assert list(log.committed(post.scope, inputs).values()) == [None, None]
    delete_topic(log, "choreo.post.changelog")
    create_topics(log, [PLAN], 2)
    with running(log, registry, MemoryBackends()):
        wait_for(lambda: caught_up(log))
    assert sorted_parcels(log, registry) == {("waiting", 1): 1}


def test_a_topic_that_goes_while_the_service_runs_is_named(log: KafkaLog, registry: MemoryRegistry) -> None:
    """Kafka lets what is written to it time out and blames any topic: the error names the one that is gone.

    Nothing of that work is committed; with the topic made again, the next life does it.
    """
    create_topics(log, [PLAN], 1)
    log.append(parcels(log, registry, "a"))
    with KafkaLog.from_url(log.url, {"transaction.timeout.ms": "3000"}) as impatient:
        site = Site(impatient, registry, MemoryBackends(), SystemClock())
        worker = Worker(post, site, RunOptions(start_from="earliest"))
        worker.start()
        step_until(worker, lambda: caught_up(log), site.clock)
        delete_topic(log, OUT)
        log.append(parcels(log, registry, "b"))
        with pytest.raises(UnknownTopicError, match=rf"topics that do not exist: {OUT}\n") as raised:
            step_until(worker, lambda: caught_up(log), site.clock)
        assert raised.value.hint == "choreo topics apply"
        worker.abandon()
    assert list(log.committed(post.scope, [TopicPartition(IN, 0)]).values()) == [1]
    create_topics(log, [PLAN], 1)
    with running(log, registry, site.backends):
        wait_for(lambda: caught_up(log))
    assert sorted_parcels(log, registry) == {("b", 1): 1}


def delete_topic(log: KafkaLog, name: str) -> None:
    """As an operator does it; ends when the broker no longer lists it."""
    brokers, _, prefix = log.url.removeprefix("kafka://").partition("?prefix=")
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    for deleted in admin.delete_topics([f"{prefix}.{name}"]).values():
        deleted.result()
    wait_for(lambda: name not in log.topics())


def test_an_event_that_its_topic_does_not_take_is_found_among_others(log: KafkaLog, registry: MemoryRegistry) -> None:
    """A topic that takes less than it should fails the whole checkpoint: the culprit alone becomes a dead letter."""
    log.create_topics([TopicSpec(OUT, 1, {"max.message.bytes": "3000"})])
    create_topics(log, [PLAN], 1)
    noise = "".join(chr(33 + n * n % 89) + chr(33 + n * 7 % 83) for n in range(4_000))
    log.append(parcels(log, registry, "a", "b", noise, "a"))
    with running(log, registry, MemoryBackends()):
        wait_for(lambda: caught_up(log))
    ((letter, record),) = letters(log)
    assert (letter.door, record.key) == ("publish", noise.encode())
    assert sorted_parcels(log, registry) == {("a", 1): 1, ("b", 1): 1, ("a", 2): 1}


def test_a_first_start_on_a_topic_that_is_not_empty_must_be_told(log: KafkaLog, registry: MemoryRegistry) -> None:
    """It counts what is there, names the choices, and has consumed nothing when the choice is made."""
    create_topics(log, [PLAN], 2)
    log.append(parcels(log, registry, "a", "b", "c"))
    site = Site(log, registry, MemoryBackends(), SystemClock())
    worker = Worker(post, site, RunOptions())
    worker.start()
    with pytest.raises(StartError, match=r"hold 3 records: post\.parcels"):
        step_until(worker, lambda: worker.ready, site.clock)
    worker.abandon()
    assert set(log.committed(post.scope, [TopicPartition(IN, number) for number in (0, 1)]).values()) == {None}
    with running(log, registry, site.backends):
        wait_for(lambda: caught_up(log))
    assert sorted_parcels(log, registry) == {(number, 1): 1 for number in "abc"}
