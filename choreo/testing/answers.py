"""What people do in a story: their answers to human steps, as `choreo sagas answer` gives them."""

from pydantic_core import to_jsonable_python

from choreo.events.event import Event
from choreo.saga.commands import SagaCommand, command_of
from choreo.saga.decision import Answer

WHY = "a test"


def answer(saga: str, key: str, step: str, event: type[Event], *, role: str, **fields: object) -> SagaCommand:
    """Somebody of this role decides a human step by an event of this class: `when(answer(...))`.

    `fields` are those that a person fills in. An answer that is refused changes nothing, and emits nothing.
    """
    given = Answer(step, event.contract.full_name, to_jsonable_python(fields), role)
    return command_of(saga, key, given, role, WHY)
