"""The `choreo` command: which commands there are, loaded on use, and how an error leaves the program.

Nothing of Choreo's weight is imported here, so that `choreo --help` answers at once.
"""

import importlib
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

import click

from choreo.cli.options import everywhere
from choreo.errors import (
    ChoreoError,
    ConfigError,
    LogUnavailableError,
    RegistryUnavailableError,
    StateInUseError,
    UnknownTopicError,
)

FINE, FOUND, USAGE, UNREACHABLE = 0, 1, 2, 3
INTERRUPTED = 130


class Lazy(NamedTuple):
    """A command that is imported when it is used: `module:name` below choreo.cli, and its line in the help."""

    place: str
    help: str


class Group(click.Group):
    """Commands by name; shows their help without importing them."""

    def __init__(self, name: str, help: str, entries: Mapping[str, "Lazy | Group"]) -> None:
        super().__init__(name, help=help)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if not isinstance(entry, Lazy):
            return entry
        module, _, name = entry.place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"choreo.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, str(entry.help)) for name, entry in self.entries.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.entries and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.entries, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(self.entries)}"
            ctx.fail(f"there is no command {args[0]}; {hint}")
        return super().resolve_command(ctx, args)


class Root(Group):
    """The whole command: turns what went wrong into an exit code and lines for the person at the console."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]  # click's own knows a mode in which it returns; this one always exits
        extra.pop("standalone_mode", None)
        sys.exit(self._code(list(sys.argv[1:] if args is None else args), extra))

    def _code(self, args: list[str], extra: dict[str, Any]) -> int:
        verbose = any(arg == "--verbose" or (arg.startswith("-v") and set(arg[1:]) == {"v"}) for arg in args)
        try:
            answer = super().main(args, "choreo", standalone_mode=False, **extra)
            sys.stdout.flush()
            return answer if isinstance(answer, int) else FINE
        except click.ClickException as error:
            error.show()
            return USAGE
        except (click.Abort, KeyboardInterrupt):
            return INTERRUPTED
        except (BrokenPipeError, SystemExit) as error:
            if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
                raise  # click answers a broken pipe by an exit of its own; any other exit is somebody else's wish
            # Whoever read us has enough; what is left to flush at exit must not complain either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return FINE
        except ChoreoError as error:
            return answer_to(error, verbose)


def answer_to(error: ChoreoError, verbose: bool) -> int:
    """Print it for the person at the console, with `verbose` where it was raised too; answers the exit code."""
    from choreo.cli.output import note
    from choreo.telemetry.privacy import without_inputs  # only where something is wrong: it is not light

    if verbose:
        click.echo(without_inputs("".join(traceback.format_exception(error))), err=True, nl=False)
    note(without_inputs(f"{type(error).__name__}: {error}"))
    return code_of(error)


def code_of(error: ChoreoError) -> int:
    """Which exit code this error is: 1 found something, 2 usage, 3 cannot reach, now, what others have open."""
    if isinstance(error, LogUnavailableError | RegistryUnavailableError | StateInUseError):
        return UNREACHABLE
    return USAGE if isinstance(error, ConfigError | UnknownTopicError) else FOUND


COMMANDS: Mapping[str, Lazy | Group] = {
    "init": Lazy("init:init", "Make a small project: two services, a saga, and tests that pass."),
    "dev": Lazy("dev:dev", "Run the project while it is written: again after each save, on a log that stays."),
    "run": Lazy("run:run", "Run services and saga coordinators: TARGET..., none = the whole project."),
    "demo": Lazy("demo:demo", "Run a sample: the shop with its order saga, or purchase orders."),
    "emit": Lazy("emit:emit", "Put events on the log: an event class and its fields, or JSON lines from stdin."),
    "trace": Lazy("trace:trace", "One whole story: what caused what, who handled it, what went wrong."),
    "check": Lazy("check:check", "Read services, specs, schemas and settings together; say what does not fit."),
    "simulate": Lazy("simulate:simulate", "Run a simulation: seed after seed of crashes, delays and duplicates."),
    "doctor": Lazy("doctor:doctor", "Look at this machine, the log and the registry; say what to do."),
    "topics": Group(
        "topics",
        "Topics on the log.",
        {
            "list": Lazy("topics:list_topics", "Every topic, its partitions and records."),
            "show": Lazy("topics:show_topic", "One topic, partition by partition."),
            "create": Lazy("topics:create_topic", "Make one topic."),
            "plan": Lazy("topics:plan_topics", "What the project needs and the log does not have."),
            "apply": Lazy("topics:apply_topics", "Make what `plan` shows."),
        },
    ),
    "sagas": Group(
        "sagas",
        "Sagas: their specs, how each instance stands, and orders to them.",
        {
            "deploy": Lazy("sagas:deploy_sagas", "Put saga specs on the log, version by version."),
            "list": Lazy("sagas:list_sagas", "Every instance: status and what it waits for."),
            "show": Lazy("sagas:show_saga", "One instance: its story, its steps, its data."),
            "tasks": Lazy("tasks:list_tasks", "What waits for people: the question, who may answer, until when."),
            "form": Lazy("tasks:show_form", "What a person fills in to answer a step."),
            "why": Lazy("why:explain_saga", "Why an instance waits: for which event, from whom, until when."),
            "retry": Lazy("mend:retry_step", "Ask for a step, or for its undo, once more."),
            "skip": Lazy("mend:skip_step", "Go on as if a step were not there."),
            "resolve": Lazy("mend:resolve_step", "Say what became of a step: done, failed or compensated."),
            "cancel": Lazy("mend:cancel_saga", "Undo sagas, also where their spec knows no cancellation."),
            "answer": Lazy("mend:answer_step", "Emit the event that a step, or a question to people, waits for."),
            "migrate": Lazy("migrate:migrate_sagas", "Take sagas under way over to another version of their spec."),
            "conformance": Lazy("conformance:conformance", "What really happened, against what the spec says."),
            "schema": Lazy("editors:show_spec_schema", "The JSON Schema of a spec, for editors."),
        },
    ),
    "locks": Group(
        "locks",
        "Locks that sagas hold by isolate_on of their specs.",
        {"list": Lazy("locks:list_locks", "Every lock that is held: by whom, since when, and who waits.")},
    ),
    "services": Group(
        "services",
        "Services of the project.",
        {
            "list": Lazy("services:list_services", "Every service."),
            "lag": Lazy("lag:show_lag", "How far each task is behind, and since when."),
        },
    ),
    "dead-letters": Group(
        "dead-letters",
        "Events that could not be handled.",
        {
            "list": Lazy("dead_letters:list_dead_letters", "Every dead letter: which event, why, when."),
            "show": Lazy("dead_letters:show_dead_letter", "One dead letter, with its cause and what it held."),
            "redrive": Lazy("redrive:redrive_letters", "Put dead letters where they came from once more, in order."),
            "edit": Lazy("edit:edit_letter", "Change the event of a dead letter, then redrive it."),
            "drop": Lazy("redrive:drop_letters", "Say that dead letters need nobody's attention."),
        },
    ),
    "parked": Group(
        "parked",
        "Keys whose later events wait behind one that failed.",
        {
            "list": Lazy("parked:list_parked", "Every key that waits: behind which event, until when."),
            "show": Lazy("parked:show_parked", "What waits for one key, in order."),
            "release": Lazy("release:release_keys", "Let keys go on with what they wait for."),
            "drop": Lazy("release:drop_keys", "Let keys go on without what was given up."),
        },
    ),
    "replay": Group(
        "replay",
        "Read the log again, in a sandbox.",
        {
            "verify": Lazy("replay:verify", "Redo what each service did and compare: stores, changes, events."),
            "state": Lazy("replay_state:show_state", "What stores held at any point of the past, and what changed it."),
            "fork": Lazy("fork:fork", "Write a story that really happened as a test."),
            "shadow": Lazy("shadow:shadow", "Run other code over the log and tell what it does otherwise."),
            "emit": Lazy("emit_again:emit_again", "Selected records once more, to their topic or to another."),
            "rebuild": Lazy("rebuild:rebuild", "Make a service's stores anew from the log, in place of its own."),
        },
    ),
    "archives": Group(
        "archives",
        "Topics in files, kept after retention has deleted them.",
        {
            "write": Lazy(
                "archives:write_archive", "Write what is new on the log: TOPIC..., none = all that a replay needs."
            ),
            "list": Lazy("archives:list_archive", "Every topic of an archive: how far it goes, and what it lacks."),
            "show": Lazy("archives:show_archive", "The files of one topic; --check reads every byte of them."),
            "restore": Lazy("archives:restore_archive", "Put topics of an archive on a log that does not have them."),
        },
    ),
    "operations": Group(
        "operations",
        "What operators changed on the log.",
        {"list": Lazy("operations:list_operations", "Every operation: what, who, why, when, and how far it has come.")},
    ),
    "schemas": Group(
        "schemas",
        "Schemas of events: published contracts, and the schema registry.",
        {
            "list": Lazy("schemas:list_schemas", "Every schema in the registry: subject, version, id."),
            "show": Lazy("schemas:show_schema", "One schema: of a subject, an id, a file or an event class."),
            "check": Lazy("schemas:check_schemas", "Compare the events with their contracts and with the registry."),
            "export": Lazy("schemas:export_schemas", "Write the contract of every event."),
            "register": Lazy("schemas:register_schemas", "Put the schema of every event into the registry."),
            "diff": Lazy("schemas_diff:diff_schemas", "What changed from one schema to another, and whom it breaks."),
            "import": Lazy("schemas_import:import_schema", "Write the class of an event that someone else owns."),
        },
    ),
    "config": Group(
        "config",
        "Settings.",
        {
            "show": Lazy("config:show", "Each setting, and where it came from."),
            "schema": Lazy("editors:show_config_schema", "The JSON Schema of choreo.toml, for editors."),
        },
    ),
    "completion": Group(
        "completion",
        "Scripts by which a shell completes this command.",
        {
            "bash": Lazy("completion:for_bash", "For bash, 4 or newer."),
            "zsh": Lazy("completion:for_zsh", "For zsh."),
            "fish": Lazy("completion:for_fish", "For fish."),
            "names": Lazy("completion:show_names", "The project's names, as the scripts ask for them."),
        },
    ),
}

HELP = """Event-driven choreography: services that react to events, sagas that undo.

A verb acts on the project or the log; a plural noun is a thing on the log and has verbs of its own.
"""

cli = everywhere(Root("choreo", HELP, COMMANDS))


def main() -> NoReturn:
    """The entry point of the `choreo` script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A console of another encoding shows what it lacks as \xNN: a key in Greek must not end a listing.
        sys.stdout.reconfigure(errors="backslashreplace")
    cli.main()
