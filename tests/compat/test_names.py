"""The tables of names in docs/compat: complete, true, and each name with a test of it."""

from __future__ import annotations

import ast
import importlib
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "compat"
SUPPORT = HERE.parent / "support"
HEADER = "| name | there | the same | tested by |"


@dataclass(frozen=True, eq=False)
class Page:
    """What a page is about, and what that stands for."""

    original: str
    ours: str
    # None: all public names.
    names: tuple[str, ...] | None = None
    # How to make one of what has attributes that its class does not tell.
    makes: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    # What ends them, where they have it.
    ends: tuple[str, ...] = ("close",)
    # What stands before each name in the table.
    prefix: str = ""


MULTIPROCESSING = (
    "Array",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Pipe",
    "Queue",
    "RLock",
    "RawArray",
    "RawValue",
    "Semaphore",
    "SimpleQueue",
    "Value",
    "get_context",
)

MAKES: dict[str, Callable[[Any], Any]] = {
    "Array": lambda module: module.Array("i", 1),
    "Barrier": lambda module: module.Barrier(1),
    "BoundedSemaphore": lambda module: module.BoundedSemaphore(),
    "Condition": lambda module: module.Condition(),
    "Connection": lambda module: module.Pipe()[0],
    "Event": lambda module: module.Event(),
    "JoinableQueue": lambda module: module.JoinableQueue(),
    "Lock": lambda module: module.Lock(),
    "Queue": lambda module: module.Queue(),
    "RLock": lambda module: module.RLock(),
    "Semaphore": lambda module: module.Semaphore(),
    "SimpleQueue": lambda module: module.SimpleQueue(),
    "Value": lambda module: module.Value("i"),
}

# Every page that has to be there.
PAGES: dict[str, tuple[Page, ...]] = {
    "faster_fifo.md": (
        Page("faster_fifo", "faster_fifo", makes={"Queue": lambda module: module.Queue()}),
    ),
    "posix_ipc.md": (Page("posix_ipc", "posix_ipc"),),
    "sysv_ipc.md": (Page("sysv_ipc", "sysv_ipc"),),
    "shared_memory.md": (
        Page(
            "multiprocessing.shared_memory",
            "shared_memory",
            makes={"ShareableList": lambda module: module.ShareableList([1])},
            ends=("close", "unlink"),
        ),
        Page(
            "multiprocessing.managers",
            "managers",
            names=("SharedMemoryManager",),
            makes={"SharedMemoryManager": lambda module: module.SharedMemoryManager().__enter__()},
            ends=("shutdown",),
            prefix="managers.",
        ),
    ),
    "multiprocessing.md": (
        Page("multiprocessing", "multiprocessing", names=MULTIPROCESSING, makes=MAKES),
    ),
}
every_page = pytest.mark.parametrize("page", PAGES)


class Row(NamedTuple):
    name: str
    there: str
    same: str
    tests: list[str]


def rows(page: str) -> list[Row]:
    """The table under "## Names"."""
    text = (DOCS / page).read_text()
    section = text.partition("\n## Names\n")[2].partition("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("|")]
    assert lines, "there is no table"
    assert lines[0] == HEADER
    found = []
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 4, line
        name = re.fullmatch(r"`([\w.]+)`", cells[0])
        assert name, f"{cells[0]} is no name in backticks"
        found.append(Row(name[1], cells[1], cells[2], re.findall(r"`([^`]+)`", cells[3])))
    return found


class Made(NamedTuple):
    kind: type
    keys: set[str]


@cache
def made(module: types.ModuleType, page: Page) -> dict[str, Made]:
    """What objects have, for what `page.makes`: public names."""
    found = {}
    for name, make in page.makes.items():
        thing = make(module)
        keys = {key for key in dir(thing) if not key.startswith("_")}
        found[name] = Made(type(thing), keys)
        thing = getattr(thing, "shm", thing)
        for end in page.ends:
            getattr(thing, end, lambda: None)()
    return found


def inherited(made: dict[str, Made], name: str) -> set[str]:
    """What something has from another one that is made as well: a row of that one is enough."""
    kind, keys = made[name]
    return {
        key
        for other in made.values()
        if other.kind in kind.__mro__[1:]
        for key in other.keys & keys
        if getattr(kind, key, None) is getattr(other.kind, key, None)
    }


def has(module: types.ModuleType, page: Page, name: str) -> bool:
    """Whether there is something by this dotted name."""
    if not name.startswith(page.prefix):
        return False
    name = name.removeprefix(page.prefix)
    first, _, rest = name.partition(".")
    objects = made(module, page)
    if first in objects and rest in objects[first].keys:
        return True
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def public(module: types.ModuleType, page: Page) -> Iterator[str]:
    """Its names: those of the module that are its own, and those of its classes."""
    for name in page.names or dir(module):
        value = getattr(module, name)
        if page.names is None and (name.startswith("_") or borrowed(module, value)):
            continue
        yield name
        if isinstance(value, type) and not issubclass(value, BaseException):
            for base in value.__mro__:
                if not borrowed(module, base):
                    yield from (f"{name}.{key}" for key in vars(base) if key[0] != "_")
    objects = made(module, page)
    for name, (_, keys) in objects.items():
        yield from (f"{name}.{key}" for key in keys - inherited(objects, name))


def borrowed(module: types.ModuleType, value: Any) -> bool:
    """Whether it is only imported there."""
    if isinstance(value, types.ModuleType):
        return True
    home = getattr(value, "__module__", None)
    return home not in {None, "builtins", module.__name__}


@every_page
def test_every_public_name_of_the_original_has_a_row(page: str) -> None:
    listed = [row.name for row in rows(page)]
    assert len(set(listed)) == len(listed), "a name has two rows"
    for part in PAGES[page]:
        original = importlib.import_module(part.original)
        missing = {part.prefix + name for name in public(original, part)} - set(listed)
        assert not missing, f"without a row: {sorted(missing)}"


@every_page
def test_every_row_is_of_a_name_that_the_original_has(page: str) -> None:
    parts = [(importlib.import_module(part.original), part) for part in PAGES[page]]
    for row in rows(page):
        assert any(has(*part, row.name) for part in parts), f"{row.name} is no name of the original"


@every_page
def test_what_a_table_says_to_be_there_is_there_and_nothing_else(page: str) -> None:
    parts = [(importlib.import_module(f"isthmus.compat.{part.ours}"), part) for part in PAGES[page]]
    for row in rows(page):
        if any(has(*part, row.name) for part in parts):
            assert row.there == "yes", f"{row.name} is there"
            assert row.same, f"{row.name}: is it the same?"
        else:
            assert re.match(r"no[:;,.] .", row.there), f"{row.name} is not there: no, and why?"


@cache
def functions(file: str) -> dict[str, str]:
    """Source text of each test, with its decorators and what they name at the top level."""
    text = (HERE / file).read_text()
    tree = ast.parse(text)
    assigned = {
        target.id: ast.get_source_segment(text, node) or ""
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    helpers = {
        node.name: ast.get_source_segment(text, node) or ""
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            parts = [ast.get_source_segment(text, node) or ""]
            parts += [ast.unparse(decorator) for decorator in node.decorator_list]
            # What it uses of this file says what it tests, too: two steps deep.
            for _ in range(2):
                words = set(re.findall(r"\w+", "\n".join(parts)))
                parts += [
                    source
                    for name, source in {**assigned, **helpers}.items()
                    if name in words and name != node.name and source not in parts
                ]
            found[node.name] = "\n".join(
                parts + used(tree, set(re.findall(r"\w+", "".join(parts))))
            )
    return found


def used(tree: ast.Module, words: set[str]) -> list[str]:
    """The files of tests/support from which one of the words is imported."""
    return [
        (SUPPORT / f"{node.module}.py").read_text()
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and (SUPPORT / f"{node.module}.py").is_file()
        and words & {alias.asname or alias.name for alias in node.names}
    ]


# A test of this kind goes over all names of a module.
OVER_ALL = re.compile(r"\bdir\(|\bvars\(|__all__")


@every_page
def test_every_name_that_is_there_has_a_test_which_uses_it(page: str) -> None:
    for row in rows(page):
        if row.there != "yes":
            assert not row.tests, f"{row.name} is not there, and cannot be tested"
            continue
        assert row.tests, f"{row.name} has no test"
        for test in row.tests:
            file, _, function = test.partition("::")
            assert (HERE / file).is_file(), f"{row.name}: there is no {file}"
            assert function in functions(file), f"{row.name}: {file} has no {function}"
        sources = [
            functions(file)[name] for file, _, name in (t.partition("::") for t in row.tests)
        ]
        last = row.name.rpartition(".")[2]
        assert any(
            re.search(rf"\b{last}\b", source) or OVER_ALL.search(source) for source in sources
        ), f"{row.name}: none of its tests mentions {last}"


def test_every_page_has_its_parts_in_order() -> None:
    parts = ["The same", "Better", "Different, and why"]
    for page in PAGES:
        found = re.findall(r"^###? (.*)$", (DOCS / page).read_text(), re.MULTILINE)
        # One page has these of several things.
        several = found.count(parts[0])
        assert [title for title in found if title in parts] == several * parts, page
        assert several and found.index("Names") > found.index(parts[-1]), page
