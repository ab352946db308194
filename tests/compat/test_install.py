"""`isthmus.compat.install`: the drop-ins in place of what is imported from now on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.compat import _install
from isthmus.compat.__main__ import interpreter_options, split
from isthmus.errors import ArgumentError

RunPython = Callable[..., str]


def test_what_is_imported_after_it_is_ours(run_python: RunPython) -> None:
    output = run_python("""
        import sys
        import isthmus.compat

        isthmus.compat.install(["faster_fifo", "multiprocessing"])
        isthmus.compat.install(["faster_fifo"])
        assert sum(type(finder).__name__ == "_Finder" for finder in sys.meta_path) == 1
        assert "isthmus.compat.faster_fifo" not in sys.modules
        assert "multiprocessing" not in sys.modules
        import faster_fifo
        from isthmus.compat import faster_fifo as ours
        assert faster_fifo is ours is sys.modules["faster_fifo"]
        assert ours.__spec__.name == ours.__name__ == "isthmus.compat.faster_fifo"
        import multiprocessing, multiprocessing.queues
        spec = multiprocessing.__spec__
        assert type(spec.loader) is type(multiprocessing.queues.__loader__), spec
        for maker in (multiprocessing, multiprocessing.get_context("spawn")):
            print(type(maker.Queue()).__module__, type(maker.SimpleQueue()).__module__)
        isthmus.compat.install()  # what is ours already can stay
        import importlib.util
        print(importlib.util.find_spec("isthmus.compat.multiprocessing").name)
    """)
    queues = "isthmus.compat.multiprocessing.queues"
    assert output.split() == [queues] * 4 + ["isthmus.compat.multiprocessing"]


def test_ours_may_be_imported_first_and_multiprocessing_before(run_python: RunPython) -> None:
    """Each of ours may itself need the original."""
    output = run_python("""
        import sys
        import multiprocessing
        old = multiprocessing.Queue
        import isthmus.compat
        isthmus.compat.install()
        assert multiprocessing.Queue is not old
        print(type(multiprocessing.Queue()).__module__)

        # As the real ones do that are made with parts of the original.
        from isthmus.compat import _install
        from importlib.machinery import ModuleSpec, SourceFileLoader
        import os, pathlib, tempfile
        finder = _install._FINDER
        with tempfile.TemporaryDirectory() as folder:
            sys.path.insert(0, folder)
            files = {
                "package/__init__.py": "",
                "package/whole.py": "MARK = 'theirs'",
                "package/part.py": "SharedMemoryManager = 'theirs'",
                "mine_whole.py": "from package.whole import MARK as OLD; MARK = 'mine'",
                "mine_part.py": "import package.part as it; OLD = it.SharedMemoryManager; "
                    "SharedMemoryManager = 'mine'",
            }
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            _install._PACKAGE = ""
            tables = {"package.whole": "mine_whole"}, {"package.part": "mine_part"}
            finder.add(*tables)
            for first in ("mine", "package"):
                for name in [name for name in sys.modules if name.split(".")[0] in
                             ("package", "mine_whole", "mine_part")]:
                    del sys.modules[name]
                if first == "mine":
                    import mine_whole, mine_part
                import package.whole, package.part
                import mine_whole, mine_part
                assert package.whole is mine_whole is sys.modules["package.whole"]
                print(mine_whole.OLD, package.whole.MARK)
                print(mine_part.OLD, package.part.SharedMemoryManager)
    """)
    assert output.split() == ["isthmus.compat.multiprocessing.queues", *["theirs", "mine"] * 4]


def test_ours_may_be_loading_in_another_thread(run_python: RunPython) -> None:
    output = run_python("""
        import sys, threading
        import isthmus.compat
        isthmus.compat.install()

        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name != "isthmus.compat._shareable_list":
                    return None
                found = (finder.find_spec(name, path) for finder in sys.meta_path[1:])
                spec = next(filter(None, found))
                spec.loader.exec_module = lambda module: self.half(spec, module)
                return spec

            def half(self, spec, module):
                loading.set()  # half of ours is loaded
                other.join(0.1)  # it waits for all of it; it used to have the original at once
                type(spec.loader).exec_module(spec.loader, module)

        def original():
            loading.wait()
            import multiprocessing.shared_memory as it
            print(it.__name__)

        loading = threading.Event()
        sys.meta_path.insert(0, Slow())
        other = threading.Thread(target=original, daemon=True)
        other.start()
        import isthmus.compat.shared_memory
        other.join()
    """)
    assert output.split() == ["isthmus.compat.shared_memory"]


def test_threads_that_import_what_ours_needs_go_on(run_python: RunPython) -> None:
    """Ours is not loaded where a finder is asked: Python has a lock of all imports there."""
    output = run_python("""
        import sys, threading
        import isthmus.compat
        isthmus.compat.install()

        def start():
            try:
                import this_is_not_there
            except ModuleNotFoundError as error:
                print(error.name)

        other = threading.Thread(target=start, daemon=True)
        real = isthmus.compat._install._load
        def load(*names):
            other.start()
            other.join(30)
            print(other.is_alive())
            return real(*names)
        isthmus.compat._install._load = load
        import sysv_ipc
        print(sysv_ipc.__name__)
    """)
    assert output.split() == ["this_is_not_there", "False", "isthmus.compat.sysv_ipc"]


def test_what_has_been_imported_is_refused_and_nothing_is_replaced(run_python: RunPython) -> None:
    output = run_python("""
        import sys
        import faster_fifo, faster_fifo_reduction
        import isthmus.compat
        before = list(sys.meta_path)
        try:
            isthmus.compat.install()
        except ValueError as error:
            print(error)
        assert sys.meta_path == before
        isthmus.compat.install(["multiprocessing"])
        import multiprocessing
        assert type(multiprocessing.Queue()).__module__.startswith("isthmus.")
        assert "isthmus.compat.faster_fifo" not in sys.modules
    """)
    assert output == (
        "faster_fifo, faster_fifo_reduction cannot be replaced any more: already imported. Call "
        "isthmus.compat.install() before, or run the program by python -m isthmus.compat\n"
    )


def test_it_can_be_inherited(run_python: RunPython) -> None:
    output = run_python("""
        import subprocess, sys
        import isthmus.compat
        program = [sys.executable, "-c", "import faster_fifo; print(faster_fifo.__name__)"]
        isthmus.compat.install(["faster_fifo"])
        subprocess.run(program, check=True)
        isthmus.compat.install(["faster_fifo"], inherit=True)
        subprocess.run(program, check=True)
    """)
    assert output.split() == ["faster_fifo", "isthmus.compat.faster_fifo"]


def test_wrong_names_are_told() -> None:
    before = list(sys.meta_path)
    with pytest.raises(ArgumentError, match="'queue': what can be replaced is shared_memory, "):
        _install.install(["posix_ipc", "queue"])
    assert sys.meta_path == before


def test_the_environment_says_it_once() -> None:
    environment = {"PYTHONPATH": os.pathsep.join(["/a", "/b"])}
    for names in (["posix_ipc"], ["posix_ipc", "sysv_ipc"]):
        _install.announce(names, environment)
        assert environment["PYTHONPATH"] == os.pathsep.join([_install.SITE, "/a", "/b"])
    assert environment[_install.VARIABLE] == "posix_ipc,sysv_ipc"
    empty: dict[str, str] = {}
    _install.announce(_install.NAMES, empty)
    assert empty["PYTHONPATH"] == _install.SITE
    assert _install.checked(empty[_install.VARIABLE]) == list(_install.NAMES)
    assert Path(_install.SITE, "sitecustomize.py").is_file()


# ---- What python -m isthmus.compat makes of its arguments -----------------------------------


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        (["x.py", "--only", "y"], []),
        (["--only", "a", "x.py"], ["--only", "a"]),
        (
            ["--only", "a", "posix_ipc", "sysv_ipc", "x.py"],
            ["--only", "a", "posix_ipc", "sysv_ipc"],
        ),
        (["--only=a,b", "-mx", "-h"], ["--only=a,b"]),
        (["-h"], ["-h"]),
        (["--only"], ["--only"]),
        (["-", "-h"], []),
        (["-cprint()"], []),
    ],
)
def test_what_is_ours_ends_where_the_program_begins(arguments: list[str], ours: list[str]) -> None:
    assert split(arguments) == (ours, arguments[len(ours) :])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["-m", "isthmus.compat"], []),
        (["-X", "dev", "-m", "isthmus.compat"], ["-X", "dev"]),
        (["-bbPm", "isthmus.compat"], ["-bbP"]),
        (["-W", "error", "-uBmisthmus.compat"], ["-W", "error", "-uB"]),
        (["-misthmus.compat"], []),
    ],
)
def test_the_options_of_this_python_are_those_of_the_program(
    options: list[str], kept: list[str]
) -> None:
    assert interpreter_options(["python", *options, "x.py", "-m"], 2) == kept
    assert interpreter_options(["python", *options], 0) == kept
