"""From a file to a `Spec`, or to one SpecError that shows all that is wrong with it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from choreo.errors import SpecError
from choreo.events.event import Event
from choreo.saga.almanac import NO_SHARED, Shared, goes_by_shared
from choreo.saga.checking import check_spec
from choreo.saga.clauses import Compensation as Compensation
from choreo.saga.clauses import Emission as Emission
from choreo.saga.nesting import fill_in
from choreo.saga.offers import NOBODY, Offers, Sources
from choreo.saga.problems import Problems
from choreo.saga.reading import read_spec
from choreo.saga.rules import Spec as Spec
from choreo.saga.rules import Step as Step
from choreo.saga.vocabulary import Vocabulary
from choreo.saga.yaml import read_yaml

SHARED = "calendars.yaml"
"""The file of a folder whose calendars all specs there may name."""


def load_spec(path: str | Path, catalogue: Mapping[str, type[Event]], offers: Offers = NOBODY) -> Spec:
    """The spec in a YAML file. `catalogue` holds the event classes of the project by full name (`shop.OrderPlaced`).

    The sagas that it may nest are those whose specs lie in the same folder, then those of `offers`; the calendars that
    it may name are its own, then those of `calendars.yaml` there.
    Raises SpecError with every problem of the file: file:line:column, the line with a caret, the likely cure.
    """
    try:
        source = Path(path).read_bytes().decode()
    except OSError as error:
        why, hint = error.strerror, "check the path of the spec"
        raise SpecError(f"{path} can't be read", at=path, why=why, hint=hint) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text", at=path, why=str(error), hint="save it as UTF-8") from error
    return parse_spec(source, str(path), catalogue, offers.behind(folder_of(path)), shared_beside(path))


def folder_of(path: str | Path) -> Sources:
    """The texts that lie in the folder of a spec, read once they are asked for; what can't be read is left out."""

    def texts() -> Iterator[str]:
        for file in sorted(Path(path).parent.glob("*.y*ml")):
            with suppress(OSError, UnicodeDecodeError):
                yield file.read_bytes().decode()

    return texts


def shared_beside(path: str | Path) -> Shared:
    """The calendars that lie in the folder of a spec for all specs there. Raises SpecError."""
    file = Path(path).parent / SHARED
    try:
        return Shared(SHARED, file.read_bytes().decode())
    except FileNotFoundError:
        return NO_SHARED
    except OSError as error:
        raise SpecError(f"{file} can't be read", at=file, why=error.strerror) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{file} is not UTF-8 text", at=file, why=str(error), hint="save it as UTF-8") from error


def parse_spec(
    source: str,
    file: str,
    catalogue: Mapping[str, type[Event]],
    offers: Offers = NOBODY,
    shared: Shared = NO_SHARED,
) -> Spec:
    """The spec in YAML text; `file` is what problems call it, `offers` the sagas that it may nest, `shared` calendars
    that it may name beside its own. Raises SpecError.
    """
    spec, problems = examine_spec(source, file, catalogue, offers, shared)
    problems.check()
    if spec is None:
        raise SpecError(f"{file} holds no spec", at=f"{file}:1:1", hint="begin with saga: NAME")
    return spec


def examine_spec(
    source: str,
    file: str,
    catalogue: Mapping[str, type[Event]],
    offers: Offers = NOBODY,
    shared: Shared = NO_SHARED,
) -> tuple[Spec | None, Problems]:
    """The spec in YAML text where there is one, and whatever is wrong with the text, one by one."""
    return _examined(Problems(file, source), catalogue, offers, shared)


def examine_again(
    source: str, file: str, catalogue: Mapping[str, type[Event]], offers: Offers, shared: Shared
) -> tuple[Spec | None, Problems]:
    """The same of a text that was deployed, perhaps by a release that looked for less."""
    return _examined(Problems(file, source, deployed=True), catalogue, offers, shared)


def _examined(
    problems: Problems, catalogue: Mapping[str, type[Event]], offers: Offers, shared: Shared
) -> tuple[Spec | None, Problems]:
    table = read_yaml(problems.source, problems)
    raw = read_spec(table, problems) if table else None
    if raw is None:
        return None, problems
    words = Vocabulary(catalogue, raw.namespace, problems)
    return check_spec(fill_in(raw, offers, words, problems), words, shared, problems), problems


def shared_in(source: str, shared: Shared) -> str:
    """The text of `shared` where a spec names a calendar of it: what has to be kept beside the spec. "" elsewhere."""
    problems = Problems("")
    table = read_yaml(source, problems)
    raw = read_spec(table, problems) if table else None
    return shared.source if raw is not None and goes_by_shared(raw) else ""
