"""Raw segments are everybody's: shm_open/mmap in C, multiprocessing.shared_memory, posix_ipc.

Each test has a real process on the other side, in both directions.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus import Segment

pytestmark = pytest.mark.slow

posix_ipc = pytest.importorskip("posix_ipc")
EXAMPLES = Path(__file__).parents[2] / "examples" / "c"

SHARED_MEMORY = """
    import sys
    from multiprocessing import resource_tracker, shared_memory
    # The tracker of an attaching process unlinks what it never made (CPython issue 82300).
    resource_tracker.register = resource_tracker.unregister = lambda *_: None
"""


def test_multiprocessing_attaches_to_ours(name: str, run_python: Callable[..., str]) -> None:
    program = (
        SHARED_MEMORY
        + """
    shm = shared_memory.SharedMemory(sys.argv[1])
    print(shm.size, bytes(shm.buf[:5]))
    shm.buf[:5] = b"world"
    shm.close()
    """
    )
    with Segment.create(name, 5000) as seg:
        seg.buf[:5] = b"hello"
        assert run_python(program, name) == "5000 b'hello'\n"
        assert bytes(seg.buf[:5]) == b"world"
        seg.unlink()


def test_we_attach_to_those_of_multiprocessing(name: str, run_python: Callable[..., str]) -> None:
    program = (
        SHARED_MEMORY
        + """
    shm = shared_memory.SharedMemory(sys.argv[1], create=True, size=5000)
    shm.buf[:5] = b"hello"
    """
    )
    run_python(program, name)
    with Segment.attach(name) as seg:
        assert (seg.size, bytes(seg.buf[:5])) == (5000, b"hello")
        seg.unlink()


def test_posix_ipc_attaches_to_ours(name: str, run_python: Callable[..., str]) -> None:
    program = """
        import mmap, sys, posix_ipc
        shm = posix_ipc.SharedMemory("/" + sys.argv[1])
        data = mmap.mmap(shm.fd, shm.size)
        print(shm.size, data[:5])
        data[:5] = b"world"
    """
    with Segment.create(name, 5000) as seg:
        seg.buf[:5] = b"hello"
        assert run_python(program, name) == "5000 b'hello'\n"
        assert bytes(seg.buf[:5]) == b"world"
        seg.unlink()


def test_we_attach_to_those_of_posix_ipc(name: str, run_python: Callable[..., str]) -> None:
    program = """
        import mmap, sys, posix_ipc
        shm = posix_ipc.SharedMemory("/" + sys.argv[1], posix_ipc.O_CREX, size=5000)
        mmap.mmap(shm.fd, shm.size)[:5] = b"hello"
    """
    run_python(program, name)
    with Segment.attach("/" + name) as seg:
        assert (seg.size, bytes(seg.buf[:5])) == (5000, b"hello")
        seg.unlink()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classic sample in C, which knows shm_open and mmap only."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    binary = tmp_path_factory.mktemp("c") / "sample"
    source = EXAMPLES / "sample.c"
    subprocess.run([compiler, "-std=c11", "-o", str(binary), str(source), "-lrt"], check=True)
    return binary


def test_a_c_program_attaches_to_ours(name: str, sample: Path) -> None:
    with Segment.create(name, 4096) as seg:
        subprocess.run([sample, "child", name], check=True, timeout=60)
        assert int.from_bytes(seg.buf[:8], "little") == 0xDBEEBEE
        seg.unlink()


def test_we_attach_to_that_of_a_c_program(name: str, sample: Path) -> None:
    # The parent's half, with a child that looks at the segment through isthmus.
    import sys

    program = (
        "import sys, isthmus\n"
        "with isthmus.Segment.attach(sys.argv[1]) as seg:\n"
        "    assert (seg.mode, seg.size >= 4096) == (0o666, True)\n"
        "    seg.buf[:8] = (0xDBEEBEE).to_bytes(8, 'little')\n"
    )
    command = [sample, "parent", name, "--", sys.executable, "-P", "-c", program, name]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert "child wrote 0xdbeebee" in done.stdout
