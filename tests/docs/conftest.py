"""The C examples, compiled once for all tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from c_programs import PATIENCE, STRICT, Run, compile_program, started

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "c"
CORE = sorted((ROOT / "src" / "core").glob("*.c"))


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """Whatever a test that failed has left running is ended."""
    yield
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def cc() -> str:
    found = shutil.which("cc")
    if found is None:
        pytest.skip("there is no C compiler (cc)")
    return found


@pytest.fixture(scope="session")
def core(cc: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core as one object file, from the same sources as the package's library."""
    folder = tmp_path_factory.mktemp("core")
    include = ["-I", str(ROOT / "include")]
    subprocess.run([cc, *STRICT, *include, "-c", *map(str, CORE)], cwd=folder, check=True)
    objects = sorted(map(str, folder.glob("*.o")))
    subprocess.run([cc, "-r", "-nostdlib", "-o", "core.o", *objects], cwd=folder, check=True)
    return folder / "core.o"


@pytest.fixture(scope="session")
def programs(cc: str, core: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("examples")
    # Those that use POSIX alone must compile and link without anything of ours.
    ours = ["-I", str(ROOT / "include"), str(core)]
    more: dict[str, list[str]] = {"sample": [], "segment_peek": []}
    return {
        source.stem: compile_program(cc, source, folder / source.stem, *more.get(source.stem, ours))
        for source in sorted(EXAMPLES.glob("*.c"))
    }


@pytest.fixture
def run(programs: dict[str, Path]) -> Run:
    def run_program(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(programs[program]), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    return run_program
