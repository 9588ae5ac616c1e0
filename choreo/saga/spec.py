"""From a file to a `Spec`, or to one SpecError that shows all that is wrong with it."""

from collections.abc import Mapping
from pathlib import Path

from choreo.errors import SpecError
from choreo.events.event import Event
from choreo.saga.checking import check_spec
from choreo.saga.problems import Problems
from choreo.saga.reading import read_spec
from choreo.saga.rules import Compensation as Compensation
from choreo.saga.rules import Emission as Emission
from choreo.saga.rules import Spec as Spec
from choreo.saga.rules import Step as Step
from choreo.saga.vocabulary import Vocabulary
from choreo.saga.yaml import read_yaml


def load_spec(path: str | Path, catalogue: Mapping[str, type[Event]]) -> Spec:
    """The spec in a YAML file. `catalogue` holds the event classes of the project by full name (`shop.OrderPlaced`).

    Raises SpecError with every problem of the file: file:line:column, the line with a caret, the likely cure.
    """
    try:
        source = Path(path).read_bytes().decode()
    except OSError as error:
        why, hint = error.strerror, "check the path of the spec"
        raise SpecError(f"{path} can't be read", at=path, why=why, hint=hint) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text", at=path, why=str(error), hint="save it as UTF-8") from error
    return parse_spec(source, str(path), catalogue)


def parse_spec(source: str, file: str, catalogue: Mapping[str, type[Event]]) -> Spec:
    """The spec in YAML text; `file` is what problems call it. Raises SpecError."""
    spec, problems = examine_spec(source, file, catalogue)
    problems.check()
    if spec is None:
        raise SpecError(f"{file} holds no spec", at=f"{file}:1:1", hint="begin with saga: NAME")
    return spec


def examine_spec(source: str, file: str, catalogue: Mapping[str, type[Event]]) -> tuple[Spec | None, Problems]:
    """The spec in YAML text where there is one, and whatever is wrong with the text, one by one."""
    problems = Problems(file, source)
    table = read_yaml(source, problems)
    raw = read_spec(table, problems) if table else None
    return (check_spec(raw, Vocabulary(catalogue, raw.namespace, problems), problems) if raw else None), problems
