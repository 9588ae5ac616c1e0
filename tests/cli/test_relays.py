"""What is keyed by another field than its topic, at the console: the relays run, and are seen."""

import json
from pathlib import Path

from tests.cli.conftest import Choreo

LIBRARY = '''
"""Loans are keyed by the book; the saga of a loan and the desk's ledger of a reader go by other fields."""

from choreo import Context, Event, Handler, Service, Store


class BookEvent(Event, namespace="library", topic="books", key="book", abstract=True):
    book: str
    loan: str


class LoanWanted(BookEvent):
    reader: str


class ShelfAsked(BookEvent): ...


class BookFetched(BookEvent): ...


class FetchBook(Handler[ShelfAsked]):
    def handle(self, asked: ShelfAsked, ctx: Context) -> BookFetched:
        return BookFetched(book=asked.book, loan=asked.loan)


class CountLoans(Handler[LoanWanted]):
    keyed_by = "reader"
    loans = Store[str, int]()

    def handle(self, wanted: LoanWanted, ctx: Context) -> None:
        self.loans[wanted.reader] = self.loans.get(wanted.reader, 0) + 1


shelves = Service("shelves", handlers=[FetchBook])
desk = Service("desk", handlers=[CountLoans])
'''
LOAN = """
saga: loan
version: 1
namespace: library
starts_on: LoanWanted
correlate_by: loan
within: 1h
steps:
  - {name: fetch, emit: {event: ShelfAsked, with: {book: saga.book}}, completes_on: BookFetched, compensate: none}
"""
RELAYS = {"desk.by-reader.books", "saga.loan.by-loan.books"}


def write_library(directory: Path, choreo: Choreo) -> None:
    """Two loans of one reader are wanted, and everything runs until there is nothing left to do."""
    (directory / "library.py").write_text(LIBRARY, encoding="utf-8")
    (directory / "loan.yaml").write_text(LOAN, encoding="utf-8")
    (directory / "choreo.toml").write_text('[project]\nservices = ["library"]\nsagas = "loan.yaml"\n', encoding="utf-8")
    for book in ("emma", "ulysses"):
        choreo("emit", "library:LoanWanted", f"book={book}", f"loan=l-{book}", "reader=ada")
    choreo("run", "--until-idle")


def test_a_run_hands_on_what_is_keyed_by_another_field(directory: Path, choreo: Choreo) -> None:
    """A saga that is found by another field than its events' key goes to its end; a handler gets what it asked for."""
    write_library(directory, choreo)
    sagas = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    assert {saga["key"]: saga["status"] for saga in sagas} == {"l-emma": "completed", "l-ulysses": "completed"}
    handed_on = choreo("topics", "show", "choreo.desk.by-reader.books", "--json").stdout.splitlines()
    assert sorted(json.loads(line)["offsets"] for line in handed_on)[-1] == 2  # one reader, one partition


def test_relays_are_seen_where_services_are(directory: Path, choreo: Choreo) -> None:
    """The lag of a relay is told like that of a service, and its stores and journal can be verified."""
    write_library(directory, choreo)
    rows = [json.loads(line) for line in choreo("services", "lag", "--json").stdout.splitlines()]
    assert {row["service"] for row in rows} >= RELAYS
    assert all(row["lag"] == 0 for row in rows)
    verified = choreo("replay", "verify").stdout
    assert verified.count("clean") == len({row["service"] for row in rows})


AWAITED = """
saga: loan
version: 1
namespace: library
starts_on: LoanWanted
correlate_by: loan
events: {BookFetched: {early: keep 1s}}
steps:
  - {name: fetch, within: none, completes_on: BookFetched, compensate: none}
"""


def test_what_was_kept_in_vain_is_redriven_by_its_relay(directory: Path, choreo: Choreo) -> None:
    """An event that was kept for its saga until its time was up lies in the dead letters under its own key: put back,
    it goes through the relay that makes the saga's key, and for the saga alone. Where the code is not at hand it is
    said that only that knows the way.
    """
    (directory / "library.py").write_text(LIBRARY, encoding="utf-8")
    (directory / "loan.yaml").write_text(AWAITED, encoding="utf-8")
    toml = directory / "choreo.toml"
    toml.write_text('[project]\nservices = ["library"]\nsagas = "loan.yaml"\n', encoding="utf-8")
    choreo("emit", "library:BookFetched", "book=emma", "loan=l-emma")
    rows: list[str] = []
    while not rows:  # its second passes while this runs
        choreo("run", "--until-idle")
        rows = choreo("dead-letters", "list", "--json").stdout.splitlines()
    (letter,) = map(json.loads, rows)
    assert (letter["service"], letter["door"], letter["key"], letter["state"]) == (
        "saga.loan",
        "unmatched",
        "emma",
        "open",
    )
    kept = toml.read_text(encoding="utf-8")
    toml.unlink()
    redrive = ("dead-letters", "redrive", letter["id"], "--why", "the reader has come")
    assert "in the directory of the project" in choreo(*redrive, "--dry-run", code=1).stdout
    toml.write_text(kept, encoding="utf-8")
    assert json.loads(choreo("dead-letters", "show", letter["id"], "--json").stdout)["cannot_redrive"] is None
    choreo("emit", "library:LoanWanted", "book=emma", "loan=l-emma", "reader=ada")
    choreo(*redrive)
    choreo("run", "--until-idle")
    (saga,) = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    assert (saga["key"], saga["status"]) == ("l-emma", "completed")
    (letter,) = [json.loads(line) for line in choreo("dead-letters", "list", "--json").stdout.splitlines()]
    assert letter["state"] == "redriven"
    assert choreo("replay", "verify").stdout.count("clean") == len(RELAYS) + len(("shelves", "desk", "saga.loan"))
