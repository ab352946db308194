"""The package as it is installed: light to import, complete, visible to tools."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import isthmus

SOURCE = Path(__file__).parents[2] / "src" / "isthmus"
HEADERS = Path(__file__).parents[2] / "include" / "isthmus"
# Whatever takes long to import and is not needed for shared memory as such.
HEAVY = {
    "numpy",
    "rich",
    "click",
    "typing",
    "dataclasses",
    "inspect",
    "asyncio",
    "socket",
    "subprocess",
    "multiprocessing",
    "ctypes",
    "logging",
    "tempfile",
    "re",
    "enum",
}


@pytest.mark.parametrize(
    "statement",
    [
        "import isthmus",
        "import isthmus; isthmus.Segment",
        "import isthmus; isthmus.Lock, isthmus.Semaphore, isthmus.Barrier, isthmus.AtomicInt",
        "import isthmus; isthmus.posix",
        "import isthmus; isthmus.sysv",
    ],
)
def test_importing_pulls_in_nothing_heavy(statement: str, run_python: Callable[..., str]) -> None:
    program = f"""
import sys
before = set(sys.modules)
{statement}
print(*sorted(set(sys.modules) - before))
"""
    loaded = set(run_python(program).split())
    assert "isthmus" in loaded
    assert loaded & HEAVY == set()


def test_every_public_name_is_there_and_documented() -> None:
    for name in isthmus.__all__:
        value = getattr(isthmus, name)
        assert name in dir(isthmus)
        assert name == "__version__" or value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        isthmus.nonsense  # type: ignore[attr-defined]


def test_static_tools_see_every_public_name() -> None:
    """The lazy imports and the ones under TYPE_CHECKING name the same things."""
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for alias in node.names
        if alias.asname
    }
    assert seen == set(isthmus.__all__) - {"__version__"}
    assert isthmus.__all__ == sorted(isthmus.__all__)


@pytest.mark.parametrize("module", [isthmus.posix, isthmus.sysv])
def test_the_bare_calls_export_all_that_they_have_and_explain_it(module: ModuleType) -> None:
    there = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert there - set(module.__all__) == {"annotations", "TYPE_CHECKING"}
    source = Path(module.__file__ or "").read_text().splitlines()
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value):
            assert value.__doc__, name
        else:
            number = next(i for i, line in enumerate(source) if line.startswith(f"{name}: Final"))
            assert source[number - 1].startswith("#: "), name


def test_the_version_is_one(run_python: Callable[..., str]) -> None:
    assert isthmus.__version__ == importlib.metadata.version("isthmus")


def test_every_public_method_tells_what_it_does() -> None:
    classes = {getattr(isthmus, name) for name in isthmus.__all__}
    rw = isthmus.RWLock()
    for cls in (*classes, type(rw.read), type(rw.write)):
        if isinstance(cls, type) and not issubclass(cls, Exception):
            # Plain attributes have comments, which the reference shows.
            plain = {name for base in cls.__mro__ for name in getattr(base, "__slots__", ())}
            for name in dir(cls):
                if not name.startswith("_") and name not in plain:
                    assert getattr(cls, name).__doc__, f"{cls.__name__}.{name}"


def test_the_installation_is_complete() -> None:
    """Every module, stub and header of the source tree is where a user needs it."""
    files = {str(file) for file in importlib.metadata.files("isthmus") or ()}
    if any(file.endswith("editable.py") or "editable" in file for file in files):
        pytest.skip("an editable install has no file list")
    expected = {"isthmus/py.typed", "isthmus/lib/libisthmus.a", "isthmus/lib/pkgconfig/isthmus.pc"}
    expected |= {f"isthmus/include/isthmus/{path.name}" for path in HEADERS.glob("*.h")}
    expected |= {
        f"isthmus/{path.relative_to(SOURCE)}"
        for pattern in ("*.py", "*.pyi")
        for path in SOURCE.rglob(pattern)
    }
    assert expected - files == set()
    assert not [f for f in files if f.endswith((".pyx", ".pxd", "meson.build", ".pc.in"))]


def test_the_headers_are_found() -> None:
    include = Path(isthmus.get_include())
    expected = {"isthmus.h", "layout.h", "primitives.h", "ring.h"}
    assert {path.name for path in (include / "isthmus").glob("*.h")} == expected


def test_pkg_config_finds_the_library_wherever_it_is_installed() -> None:
    try:
        directory = isthmus.get_pkgconfig_dir()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    command = ["pkg-config", "--cflags", "--libs", "--static", "isthmus"]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PKG_CONFIG_PATH": directory},
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("pkg-config is not installed")
    include, library, name = done.stdout.split()
    assert os.path.exists(os.path.join(include[2:], "isthmus", "isthmus.h"))
    assert os.path.exists(os.path.join(library[2:], "libisthmus.a"))
    assert name == "-listhmus"
