"""The steps of an instance as `choreo sagas show` draws them."""

from choreo.cli.saga_steps import diagram
from tests.diagram.move import move

SPEC = move()
STATES = {"lock": "done", "approve": "waiting", "crew": "skipped"}
SHOWN = """\
  lock                 done
    approve              waiting  after lock  <-- waits for MoveApproved
      - decided by clerk, then manager; within 8h open; by 30d open from the start; then it is overdue, and
        goes on; reminds by ClerkReminded every 4h open, twice
      van                  idle  after approve
        - when saga.boxes > 5; never while crew is under way; begins 2h after its turn; within 1d; by 30d from
          the start; then asks again, 5 times in all; 30s apart, times 2 each up to 10m; at last all is
          undone; taken back on VanBroken; once done it is too late to cancel
"""


def lines(status: str) -> list[str]:
    """The picture of a move that waits to be approved."""
    states = {step.name: STATES.get(step.name, "idle") for step in SPEC.steps}
    return list(diagram({"steps": states, "waits_for": ["home.MoveApproved"], "status": status}, SPEC))


def test_what_is_not_over_says_its_rules() -> None:
    """Below a step that is under way or to come stands what holds for it; what is over, or left out, says no more."""
    assert lines("waiting")[:8] == SHOWN.splitlines()
    (at,) = (number for number, line in enumerate(lines("waiting")) if line.split()[:2] == ["crew", "skipped"])
    assert not lines("waiting")[at + 1].lstrip().startswith("- ")


def test_a_saga_that_goes_back_says_no_rules() -> None:
    """None of its steps begins any more."""
    assert not [line for line in lines("compensating") if line.lstrip().startswith("- ")]
