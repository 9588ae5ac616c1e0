"""Instances as values: copies share what is frozen and are what pydantic would have made; old bytes are read."""

from pydantic import BaseModel

from choreo.saga.instance import Instance, StepRecord, StepState
from choreo.state.values import value_codec

RECORD = StepRecord(state=StepState.WAITING, due=7, fields={"room": 12})
INSTANCE = Instance(saga="trip", key="t1", version=1, digest="d", steps={"hotel": RECORD}, remembered={"nights": 2})
BEFORE_ITEMS = (
    b'\x01{"saga":"trip","key":"t1","version":1,"digest":"d","status":"waiting","cause":null,"steps":{"hotel":{"state":'
    b'"waiting","by":"","undone_by":"","run":1,"attempt":0,"undo_attempt":0,"asked":0,"reminded":0,"remind_due":null,'
    b'"round":1,"due":7,"resting":false,"overdue":false,"done_at":null,"undone_at":null,"late":"","fields":{"room":12},'
    b'"problem":""}},"remembered":{"nights":2},"seen":[],"correlation_id":"","refused":"","started_at":0,'
    b'"ended_at":null,"due":null,"forgotten":false}'
)
"""The same instance as it was stored before records had items and questions, and instances held events."""


def test_a_copy_is_what_pydantic_would_make() -> None:
    """Equal in fields, in fields that were set and as JSON; the one that was copied stays as it was."""
    for model, told in (
        (RECORD, {"state": StepState.DONE, "due": None}),
        (INSTANCE, {"status": "completed"}),
        (RECORD, {}),
    ):
        before = model.model_dump_json()
        made, due = model.model_copy(update=told), BaseModel.model_copy(model, update=told)
        assert made == due
        assert type(made) is type(due)
        assert made.model_fields_set == due.model_fields_set
        assert made.model_dump_json() == due.model_dump_json()
        assert model.model_dump_json() == before


def test_an_instance_comes_back_from_its_store() -> None:
    """Bytes give the instance back, the same bytes the same object."""
    codec = value_codec(Instance)
    data = codec.dump(INSTANCE)
    assert codec.load(data) == INSTANCE
    assert codec.load(data) is codec.load(bytes(bytearray(data)))


def test_what_an_older_release_stored_is_read() -> None:
    """Fields that have come since are as in an instance that never used them."""
    assert value_codec(Instance).load(BEFORE_ITEMS) == INSTANCE
