"""Index: what is found by something else than the key of its event."""

from choreo import Context, Event, Handler, Service
from choreo.resilience.dead_letter import read
from choreo.service.store import Index
from tests.runtime.town import Town


class BookEvent(Event, namespace="library", topic="library.books", key="book", abstract=True):
    book: str


class Shelved(BookEvent):
    author: str
    under: str


class Lent(BookEvent):
    author: str


class Found(BookEvent):
    authors: tuple[str, ...]


class Catalogue(Handler[Shelved]):
    by_author = Index[tuple[str, str]]()

    def handle(self, event: Shelved, ctx: Context) -> Found:
        self.by_author[event.author, event.under] = True
        return Found(book=event.book, authors=tuple(author for (author, _), _ in self.by_author.items(())))


class Desk(Handler[Lent]):
    by_author = Catalogue.by_author

    def handle(self, event: Lent, ctx: Context) -> None:
        del self.by_author[event.author, event.book]


def found(town: Town) -> list[tuple[str, ...]]:
    """What each event saw of its own."""
    return [event.authors for event in town.events("library.books", [Found]) if isinstance(event, Found)]


def entries(town: Town) -> list[tuple[str, str]]:
    keys, _ = Catalogue.by_author.codecs()
    return [keys.decode(raw) for raw in sorted(town.stored("library")) if raw.startswith(keys.prefix(()))]


def test_entries_are_kept_under_the_key_that_they_end_with() -> None:
    """An event writes, sees and deletes entries that end with its own key, whatever they begin with."""
    town = Town(Service("library", handlers=[Catalogue, Desk]))
    town.tell(Shelved(book="b1", author="sachs", under="b1"), Shelved(book="b2", author="arendt", under="b2"))
    town.tell(Shelved(book="b1", author="celan", under="b1"))
    assert found(town) == [("sachs",), ("arendt",), ("celan", "sachs")]
    town.tell(Lent(book="b1", author="sachs"))
    assert entries(town) == [("arendt", "b2"), ("celan", "b1")]


def test_an_entry_of_another_event_is_refused() -> None:
    """An entry that ends with another key than the event's is an error that says so."""
    town = Town(Service("library", handlers=[Catalogue]))
    town.tell(Shelved(book="b1", author="sachs", under="b2"))
    (letter,) = map(read, town.records("choreo.library.dead-letters"))
    assert letter.cause == "StoreKeyError"
    assert "its keys end with the key of the event ('b1')" in letter.error
