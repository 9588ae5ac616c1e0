"""Choreo on systems that are not Unix: what they lack is used in one place each, where it has a fallback, and the
fallbacks work. Run on Linux with those things taken away; nobody has run it on Windows or macOS (docs/platforms.md).
"""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from choreo.events.registry import DirectoryRegistry
from choreo.state import lock
from choreo.testing import Simulation, abreast
from tests.cli.sample import write_project
from tests.test_architecture import ROOT, Source, source_of, sources, trees

__all__ = ["trees"]

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "curses"}
"""Python has these on Unix only."""
NAMES = {
    "os": "fork forkpty getuid geteuid getgid getegid getpgid setpgid setsid killpg nice getloadavg mkfifo mknod chown "
    "lchown uname wait wait3 wait4 statvfs sysconf pathconf sched_getaffinity sched_setaffinity sched_yield link "
    "getpriority setpriority posix_spawn sendfile openpty ttyname initgroups setuid setgid umask",
    "signal": "SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGPIPE SIGSTOP SIGCONT alarm setitimer pause "
    "pthread_kill sigwait set_wakeup_fd",
    "socket": "AF_UNIX socketpair SO_REUSEPORT",
    "select": "poll epoll kqueue",
    "multiprocessing": "Process Pool Queue Pipe set_start_method",
    "concurrent.futures": "ProcessPoolExecutor",
}
"""Names that Windows lacks, or that begin processes by forking here and otherwise there: a context says `spawn`."""
METHODS = {"add_signal_handler", "start_new_session", "preexec_fn", "process_group", "fork_exec"}
UNIX_PATH = re.compile(r"/(tmp|dev|proc|var)/")
GUARDED = {
    ("fcntl", "choreo.state.lock"),
    ("resource", "choreo.cli.doctor"),
    ("SIGKILL", "choreo.cli.faults"),
    ("AF_UNIX", "choreo.log.embedded_socket"),
    ("link", "choreo.events.registry"),
    ("ProcessPoolExecutor", "choreo.testing.abreast"),
}
"""What is used all the same, each in one module, behind a guard that a test of this file goes through."""
OPENERS = {"read_text": 0, "write_text": 1, "open": 1}
"""Calls that take an encoding, and after how many positional arguments it may stand."""


def unix_only(source: Source) -> Iterator[str]:
    """Each use of something that Unix alone has."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            yield from ([module] if module.partition(".")[0] in MODULES else [])
            yield from (alias.name for alias in node.names if alias.name in NAMES.get(module, "").split())
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield from ([node.attr] if node.attr in NAMES.get(node.value.id, "").split() else [])
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node.attr
        if isinstance(node, ast.keyword) and node.arg in METHODS:
            yield node.arg
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.match(r"/(tmp|dev|proc|var)/", node.value)
        ):
            yield node.value


def without_encoding(source: Source) -> Iterator[int]:
    """Lines that open a text file in whatever encoding the machine happens to have."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in ("read_text", "write_text"):
            if "encoding" not in keywords and len(node.args) <= OPENERS[name]:
                yield node.lineno
        elif name == "open":
            modes = [*node.args, *keywords.values()]
            texts = [arg.value for arg in modes if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            mode = next((text for text in texts if re.fullmatch(r"[rwxa]b?t?\+?", text)), None)
            alone = isinstance(node.func, ast.Name) and mode is None
            if (alone or (mode is not None and "b" not in mode)) and "encoding" not in keywords:
                yield node.lineno


@pytest.mark.xdist_group("architecture")
def test_what_only_unix_has_stands_in_one_place_each() -> None:
    """Every such use is known, has a guard, and no guard is left over."""
    found = {(name, source.module) for source in sources("choreo", "services") for name in unix_only(source)}
    assert found == GUARDED


@pytest.mark.xdist_group("architecture")
def test_text_files_say_their_encoding() -> None:
    """No file is read or written in the encoding of the machine."""
    package = sources("choreo", "services")
    assert [f"{source.module}:{line}" for source in package for line in without_encoding(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import fcntl",
        "from resource import getrlimit",
        "import os\nos.fork()",
        "from os import killpg",
        "import signal\nsignal.signal(signal.SIGHUP, print)",
        "import socket\nsocket.socket(socket.AF_UNIX)",
        "import multiprocessing\nmultiprocessing.Process()",
        "from concurrent.futures import ProcessPoolExecutor",
        "loop.add_signal_handler(2, print)",
        "import subprocess\nsubprocess.Popen([], start_new_session=True)",
        "place = '/tmp/choreo'",
    ],
)
def test_a_planted_use_is_found(text: str) -> None:
    """Each way of leaning on Unix is found; what a `spawn` context makes is not."""
    assert len(list(unix_only(source_of("choreo.log.planted", text)))) == 1
    fine = "import multiprocessing\ncontext = multiprocessing.get_context('spawn')\ncontext.Process()"
    assert list(unix_only(source_of("choreo.log.planted", fine))) == []


def test_a_planted_encoding_is_missed() -> None:
    """Text without an encoding is found in each way of opening; bytes and other things called open are not."""
    text = "p.read_text()\np.write_text('a')\nopen(p)\np.open('w')\nopen(p, 'r')\n"
    assert list(without_encoding(source_of("choreo.log.planted", text))) == [1, 2, 3, 4, 5]
    fine = "p.read_text('utf-8')\np.write_text('a', encoding='ascii')\np.open('rb')\nbackends.open('task-0')\n"
    assert list(without_encoding(source_of("choreo.log.planted", fine))) == []


WITHOUT_UNIX = """
import os, signal, socket, sys
sys.modules["resource"] = None
del socket.AF_UNIX, signal.SIGKILL, os.link, os.fork
from choreo.cli.main import cli
cli.main(sys.argv[1:])
"""


def elsewhere(directory: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """`choreo ARGUMENTS` on a Python without AF_UNIX, SIGKILL, resource, os.link and os.fork."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHOREO_")}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_UNIX, *arguments],
        cwd=directory,
        env=environment | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_first_run_needs_none_of_it(tmp_path: Path) -> None:
    """Looking around, emitting, running and asking work where those names are missing."""
    write_project(tmp_path)
    for arguments in (
        ["doctor"],
        ["emit", "shop.py:OrderPlaced", "order_id=o1", "total=250"],
        ["run", "shop.py", "order.yaml", "--until-idle"],
    ):
        done = elsewhere(tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
    assert elsewhere(tmp_path, "sagas", "show", "o1").stdout.startswith("compensated: pay failed")


def test_a_planted_crash_works_without_sigkill(tmp_path: Path) -> None:
    """CHOREO_FAULT ends the process at its place, without a last commit, and is not asked to drain."""
    write_project(tmp_path)
    assert elsewhere(tmp_path, "emit", "shop.py:OrderPlaced", "order_id=o1", "total=5").returncode == 0
    died = elsewhere(tmp_path, "run", "shop.py", "--until-idle", CHOREO_FAULT="checkpoint.committed:1")
    assert died.returncode == 137
    assert "fault checkpoint.committed: kill -9" in died.stderr
    assert "handled" not in died.stderr
    assert "gives back" not in died.stderr


def test_schemas_are_registered_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links gets the file all the same, whole, and no draft stays behind."""

    def refuse(source: Path, place: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    schema = {"type": "record", "name": "shop.A", "fields": [{"name": "a", "type": "long"}]}
    schema_id = DirectoryRegistry(tmp_path).register("shop.A", schema)
    assert DirectoryRegistry(tmp_path).register("shop.A", schema) == schema_id
    assert DirectoryRegistry(tmp_path).schema(schema_id)["name"] == "shop.A"
    assert len(list(tmp_path.iterdir())) == 1


class Msvcrt(ModuleType):
    """Locks as Windows does: a byte of a file, for one handle at a time, whoever it is."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.locked: dict[tuple[int, int], int] = {}

    def locking(self, file: int, mode: int, count: int) -> None:
        """Raises OSError where another handle has the byte; a handle that was closed has nothing."""
        assert (mode, count) == (self.LK_NBLCK, 1)
        there = os.fstat(file)
        byte = (there.st_ino, os.lseek(file, 0, os.SEEK_CUR))
        if self.locked.get(byte, file) != file and _is_open(self.locked[byte], there.st_ino):
            raise PermissionError(13, "Permission denied")
        self.locked[byte] = file


def _is_open(file: int, inode: int) -> bool:
    try:
        return os.fstat(file).st_ino == inode
    except OSError:
        return False


def test_a_directory_is_locked_as_windows_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is refused while the first has it, and named; afterwards it gets it."""
    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt())
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("lock_on_windows", lock.__file__)
    assert spec is not None
    assert spec.loader is not None
    there = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(there)
    first = there.DirectoryLock(tmp_path, 0.0, lambda seconds: None)
    with pytest.raises(there.StateInUseError, match="in use") as refused:
        there.DirectoryLock(tmp_path, 0.0, lambda seconds: None)
    assert str(os.getpid()) in str(refused.value)
    first.close()
    there.DirectoryLock(tmp_path, 0.0, lambda seconds: None).close()


def test_a_console_of_another_encoding_shows_all_it_can(tmp_path: Path) -> None:
    """A key that the console's encoding lacks does not end a listing."""
    write_project(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "choreo", "emit", "shop.py:OrderPlaced", "order_id=Ω", "total=5"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"shop.OrderPlaced \u03a9 at" in done.stdout


def test_processes_that_share_seeds_begin_alike_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `choreo simulate --processes` begins is spawned, never forked."""
    methods: list[str] = []

    class Begun(Exception):
        """As far as this test goes."""

    def pool(processes: int, context: BaseContext, *rest: object) -> NoReturn:
        methods.append(context.get_start_method() or "")
        raise Begun

    monkeypatch.setattr(abreast, "ProcessPoolExecutor", pool)
    with pytest.raises(Begun):
        list(abreast.hold(lambda: Simulation(), [0], 2))
    assert methods == ["spawn"]
