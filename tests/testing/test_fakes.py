"""Fakes: whatever a dependency holds is put back, in the same objects."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from random import Random
from threading import Lock

from choreo.testing.fakes import Snapshot


@dataclass(slots=True)
class Account:
    """Keeps its attributes in slots."""

    balance: int = 0


class Bank:
    """Holds one of everything."""

    def __init__(self) -> None:
        self.accounts = {"ada": Account(5)}
        self.log = ["opened"]
        self.closed = {1}
        self.queue = deque([1, 2], maxlen=5)
        self.counts = Counter(a=2)
        self.by_day: defaultdict[str, list[int]] = defaultdict(list, monday=[1])
        self.random = Random(7)
        self.pair = ([1], "x")
        self.lock = Lock()
        self.itself = self
        self.notify = self.log.append
        self.open = True

    def state(self) -> object:
        """Everything as plain values."""
        return (
            {name: account.balance for name, account in self.accounts.items()},
            list(self.log),
            set(self.closed),
            list(self.queue),
            dict(self.counts),
            {day: list(sums) for day, sums in self.by_day.items()},
            self.pair[0][:],
            self.random.getstate(),
            self.open,
            sorted(vars(self)),
        )


def test_everything_is_put_back_into_the_same_objects() -> None:
    """After `restore` all is as it was, and whoever holds a part of it still holds that part."""
    bank = Bank()
    before, log, account = bank.state(), bank.log, bank.accounts["ada"]
    snapshot = Snapshot([bank])
    for _ in range(2):
        bank.accounts["ada"].balance = 0
        bank.accounts["bob"] = Account()
        bank.notify("charged")
        bank.closed.add(2)
        bank.queue.append(3)
        bank.counts["a"] += 1
        bank.by_day["monday"].append(2)
        bank.by_day["friday"].append(2)
        bank.pair[0].clear()
        bank.random.random()
        bank.open = False
        vars(bank)["extra"] = 1
        bank.log = []
        assert bank.state() != before
        snapshot.restore()
        assert bank.state() == before
        assert bank.log is log
        assert bank.accounts["ada"] is account
    assert bank.queue.maxlen == 5


def test_a_bound_method_leads_to_its_object() -> None:
    """A dependency may be a method: what its object holds is put back too."""
    bank = Bank()
    snapshot = Snapshot([bank.state])
    bank.log.append("more")
    snapshot.restore()
    assert bank.log == ["opened"]
