"""A service of one handler, for tests that time how soon a killed process is back: it counts what it hears, by key."""

from choreo import Context, Event, Handler, Service, Store


class Said(Event, namespace="echo", topic="echo.said", key="name"):
    """Somebody said something."""

    name: str


class Echoed(Event, namespace="echo", topic="echo.echoed", key="name"):
    """It was heard, for the `times`-th time."""

    name: str
    times: int


class Echo(Handler[Said]):
    """Say it again."""

    times = Store[str, int](default=0)

    def handle(self, said: Said, ctx: Context) -> Echoed:
        self.times[said.name] += 1
        return Echoed(name=said.name, times=self.times[said.name])


echo = Service("echo", handlers=[Echo])
