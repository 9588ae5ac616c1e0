"""The service whose log `footprint` reads again: one entry a name, one answer an event, and one dead letter in twenty.

It is copied into a project of its own, and beside it as the code of a shadow run.
"""

from choreo import Context, Event, GiveUp, Handler, Retry, Service, Store

ONE_IN = 20


class Asked(Event, namespace="bench", topic="asked", key="name"):
    """Somebody asks for the so-manieth time."""

    name: str
    number: int
    words: str


class Answered(Event, namespace="bench", topic="answered", key="name"):
    """The answer, and how many there were."""

    name: str
    number: int
    answers: int


class Answer(Handler[Asked]):
    """Answers, but for what it has no answer to."""

    answers = Store[str, int](default=0)
    retry = Retry(attempts=1)

    def handle(self, asked: Asked, ctx: Context) -> Answered:
        if asked.number % ONE_IN == 0:
            raise GiveUp("there is no answer to this")
        self.answers[asked.name] += 1
        return Answered(name=asked.name, number=asked.number, answers=self.answers[asked.name])


clerk = Service("clerk", handlers=[Answer])
