"""The build: a replay can tell which code made a checkpoint."""

from choreo import Service
from choreo.runtime.build import build_of
from choreo.runtime.journal import read_pages
from tests.runtime.test_calls import Pay
from tests.runtime.test_thread import Placed, Reserve
from tests.runtime.town import Town


def test_the_build_is_that_of_the_handlers_code() -> None:
    """Handlers of other files are another build; the same ones are the same, whatever the service is called."""
    one, same, other = (Service(name, handlers=[h]) for name, h in (("a", Reserve), ("b", Reserve), ("c", Pay)))
    assert build_of(one) == build_of(same) != build_of(other)


def test_the_journal_names_the_build() -> None:
    """Each checkpoint says which code made it."""
    town = Town(Service("inventory", handlers=[Reserve]))
    town.tell(Placed(order_id="o1", pieces=1))
    pages = list(read_pages(town.records("choreo.inventory.journal")))
    assert {page.build for page in pages} == {build_of(town.services[0])}
