"""How the reservation of one order stands: a value, and the steps from one to the next."""

from collections.abc import Iterable
from typing import Literal, Self

from choreo import Value


class Reservation(Value):
    """Lines are counted from 0. A reservation that is being released never becomes reserved."""

    state: Literal["asking", "reserved", "releasing", "released"]
    products: tuple[str, ...] = ()
    """Product of each line."""
    held: tuple[int, ...] = ()
    """Lines that a shelf holds."""
    picked: bool = False
    """The clerk laid the lines ready."""
    outstanding: tuple[int, ...] = ()
    """Lines that hold something, or may, until their shelf says that they are back."""
    answer: bool = False
    """Somebody waits for StockReleased."""

    @classmethod
    def of(cls, products: Iterable[str]) -> Self:
        """An order whose lines have just been asked for."""
        products = tuple(products)
        return cls(state="asking", products=products, outstanding=tuple(range(len(products))))

    @property
    def is_complete(self) -> bool:
        return self.picked and len(self.held) == len(self.products)

    def with_held(self, line: int) -> "Reservation":
        return self if line in self.held else self.model_copy(update={"held": (*self.held, line)})

    def with_pick(self) -> "Reservation":
        return self.model_copy(update={"picked": True})

    def without(self, line: int) -> "Reservation":
        """This line holds nothing, so nothing has to come back."""
        return self.model_copy(update={"outstanding": tuple(other for other in self.outstanding if other != line)})

    def reserved(self) -> "Reservation":
        return self.model_copy(update={"state": "reserved"})

    def released(self, *, answer: bool) -> "Reservation":
        """Every line is asked back. `answer` stays true once somebody waits for StockReleased."""
        state = "releasing" if self.outstanding else "released"
        return self.model_copy(update={"state": state, "answer": self.answer or answer})

    def with_line_back(self, line: int) -> "Reservation":
        """One shelf less to wait for; the last one ends the release."""
        after = self.without(line)
        if after.state == "releasing" and not after.outstanding:
            return after.model_copy(update={"state": "released"})
        return after


NOTHING_RESERVED = Reservation(state="released")
