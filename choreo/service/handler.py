"""Handler: a class that says what it handles, needs, keeps and emits."""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Never, TypeVar, dataclass_transform

from choreo.events.event import Event
from choreo.resilience.retry import Retry
from choreo.service.context import Answer, Context
from choreo.service.schedule import Cron

E_contra = TypeVar("E_contra", bound=Event, contravariant=True)


@dataclass_transform(kw_only_default=True)
class Handler(ABC, Generic[E_contra]):
    """React to events of one or several types: `class ReserveStock(Handler[OrderPlaced])`.

    Annotated attributes are what it needs (filled by name from the service), assigned ones are what it keeps
    (Store, Timer) and how it behaves (retry, keyed_by, concurrency). What a method may emit is its return annotation,
    and nothing else.
    """

    keyed_by: ClassVar[str | None] = None
    """A field of every handled event to re-key by: store keys begin with it."""
    concurrency: ClassVar[int] = 64
    retry: ClassVar[Retry] = Retry()
    schedule: ClassVar[Cron | None] = None
    handles: ClassVar[tuple[type[Event], ...]] = ()
    """Event types of a handler class made at run time; others say it by the annotation of `handle`."""
    emits: ClassVar[tuple[type[Event], ...]] = ()
    """Emitted types of a handler class made at run time; others say it by return annotations."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(eq=False, kw_only=True)(cls)

    @abstractmethod
    def handle(self, event: E_contra, ctx: Context, /) -> Answer:
        """Answer one event with what happened: one event, a sequence, or None."""

    def compensate(self, request: Never, ctx: Context, /) -> Answer:
        """Undo what `handle` did, asked by the event that the annotation names. Always answers, also when there is
        nothing to undo.
        """
        raise NotImplementedError

    def give_up(self, event: E_contra, error: Exception, ctx: Context, /) -> Answer:
        """What the business does after the last attempt at `handle` failed with `error`."""
        raise NotImplementedError


AnyHandler = Handler[Any]
