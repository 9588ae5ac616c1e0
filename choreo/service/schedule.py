"""Cron: when a Tick handler is due."""

from typing import Literal


class Cron:
    """`Cron("0 2 * * *", timezone="Europe/Vienna")` or `Cron("@every 5m")`; `catch_up` says what to do about
    missed ones.
    """

    def __init__(
        self, expression: str, *, timezone: str = "UTC", catch_up: Literal["none", "last", "all"] = "last"
    ) -> None:
        self.expression, self.timezone, self.catch_up = expression, timezone, catch_up
