"""Mistakes that the types must catch: every line marked [M] by mypy, [P] by pyright, [R] when the class is made."""
from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from choreo import Context, Event, Handler, Job, Retry, Service, Store, Timer


class Placed(Event, namespace="shop", topic="orders", key="order_id"):
    order_id: str
class Taken(Event, namespace="shop", topic="orders", key="order_id"):
    order_id: str
    amount: Decimal
class Declined(Event, namespace="shop", topic="orders", key="order_id"):
    order_id: str
class Print(Job, namespace="shop", queue="prints"):
    order_id: str
class Gateway(Protocol):
    async def charge(self, key: str, token: str, amount: Decimal) -> str: ...

class WrongEvent(Handler[Placed]):
    def handle(self, event: Taken, ctx: Context) -> None: ...                                  # [MP] not the event it declares
class WrongReturn(Handler[Placed]):
    def handle(self, event: Placed, ctx: Context) -> str: return "x"                           # [MP] not an emission
class Undeclared(Handler[Placed]):
    def handle(self, event: Placed, ctx: Context) -> Taken:
        return Declined(order_id=event.order_id)                                               # [MP] not declared
class MissingField(Handler[Placed]):
    def handle(self, event: Placed, ctx: Context) -> Taken:
        return Taken(order_id=event.order_id)                                                  # [MP] amount is missing
class Frozen(Handler[Placed]):
    def handle(self, event: Placed, ctx: Context) -> None:
        event.order_id = "o2"                                                                  # [MP] events are frozen
class StoreTypes(Handler[Placed]):
    seen = Store[str, int](default=0)
    def handle(self, event: Placed, ctx: Context) -> None:
        self.seen[3] += 1                                                                      # [MP] key type
        self.seen["a"] = "b"                                                                   # [MP] value type
        Store[str, int](default="x")                                                           # [MP] default type
class CallTypes(Handler[Placed]):
    gateway: Gateway
    async def handle(self, event: Placed, ctx: Context) -> Taken:
        await ctx.call("charge", self.gateway.charge, "tok", 3.5)                              # [MP] amount is a Decimal
        await ctx.call("charge", self.gateway.charge, "tok")                                   # [MP] amount is missing
        charged: int = await ctx.call("charge", self.gateway.charge, "tok", Decimal(1))        # [MP] it answers str
        await ctx.gather(self.gateway.charge("k", "tok", Decimal(1)))                          # [MP] not a recorded call
        ctx.enqueue(event)                                                                     # [MP] not a job
        ctx.enqueue(Print(order_id="o"), priority="urgent")                                    # [MP] no such priority
        return Taken(order_id=str(charged), amount=Decimal(1))
class Forgot(Handler[Placed]):
    gateway: Gateway
class TimerKey(Handler[Placed]):
    late = Timer[str]()
    def handle(self, event: Placed, ctx: Context) -> None:
        self.late.set(3, after=timedelta(days=1))                                              # [MP] key type
    @late.due                                                                                  # [MP] the method takes an int
    def fire(self, key: int, ctx: Context) -> None: ...
class WrongRetry(Handler[Placed]):
    retry = 5                                                                                  # [MP] a Retry
    def handle(self, event: Placed, ctx: Context) -> None: ...

CallTypes(gateway=3)                                                                           # [MP] not a gateway
CallTypes()                                                                                    # [MP] gateway is missing
Forgot(gateway=3)                                                                              # [MP] abstract: handle is missing
Retry(tries=3)                                                                                 # [MP] no such option
Service("s", handlers=[Placed])                                                                # [MP] an event is no handler
Service("s", handlers=[WrongReturn()])                                                         # [MP] classes, not instances
# `Scenario().when(Placed)` (an instance, not a class) joins this list, with its import, when choreo.testing has Scenario.
class Misspelt(Event, namespace="shop", topik="orders"): ...                                   # [P R] unknown keyword
class NotText(Event, namespace="shop", topic=3): ...                                           # [P R] topic is text
