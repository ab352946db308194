"""A full shared memory file system is an error that explains, for real: on a tiny tmpfs.

The test runs in a process with a mount namespace of its own, where /dev/shm is 1 MiB large.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow

TINY = 'mount -t tmpfs -o "$0" tmpfs /dev/shm && exec "$@"'


def in_tiny_shm(program: str, options: str = "size=1M") -> str:
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", TINY, options]
    probe = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"a tmpfs may not be mounted here: {probe.stderr.strip()}")
    command = [*unshare, sys.executable, "-P", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_too_large_a_segment_is_refused_with_both_sizes_and_leaves_nothing() -> None:
    program = """
        import errno, os, isthmus
        for make in (lambda: isthmus.Segment.create("big", 2 << 20),
                     lambda: isthmus.Array("big", (2 << 20,), "u1")):
            try:
                make()
            except isthmus.NoSpaceError as error:
                print(error.errno == errno.ENOSPC, isinstance(error, OSError), error.wanted >> 20,
                      error.available, "MiB (2" in str(error), "/dev/shm" in str(error))
        print(os.listdir("/dev/shm"), os.statvfs("/dev/shm").f_bfree)
    """
    expected = f"True True 2 {1 << 20} True True\n" * 2
    assert in_tiny_shm(program) == expected + "[] 256\n"


def test_a_segment_that_fits_can_be_written_to_its_last_byte_on_a_full_disk() -> None:
    program = """
        import isthmus
        first = isthmus.Segment.create("first", 512 << 10)
        second = isthmus.Segment.create("second", 512 << 10)
        try:
            isthmus.Segment.create("third", 1)
        except isthmus.NoSpaceError as error:
            print("full", error.available)
        for seg in (first, second):
            seg.buf[:] = b"x" * len(seg.buf)
        print("written")
    """
    assert in_tiny_shm(program) == "full 0\nwritten\n"


def test_growing_beyond_the_room_keeps_the_segment_as_it_was() -> None:
    program = """
        import os, isthmus
        seg = isthmus.Segment.create("x", 100_000)
        seg.buf[:] = b"y" * 100_000
        free = os.statvfs("/dev/shm").f_bfree
        try:
            seg.resize(4 << 20)
        except isthmus.NoSpaceError as error:
            print("full", error.wanted, seg.size, os.fstat(seg.fileno()).st_size)
        print(bytes(seg.buf) == b"y" * 100_000, os.statvfs("/dev/shm").f_bfree == free)
    """
    assert in_tiny_shm(program) == f"full {4 << 20} 100000 100000\nTrue True\n"


def test_holes_left_by_other_programs_are_found_before_they_kill() -> None:
    program = """
        import os, isthmus
        fd = os.open("/dev/shm/sparse", os.O_CREAT | os.O_RDWR, 0o600)
        os.ftruncate(fd, 4 << 20)
        seg = isthmus.Segment.attach("sparse")
        try:
            seg.reserve()
        except isthmus.NoSpaceError as error:
            print("full", seg.size == 4 << 20)
    """
    assert in_tiny_shm(program) == "full True\n"


def test_filling_holes_takes_no_more_room_than_the_holes() -> None:
    program = """
        import os, isthmus
        seg = isthmus.Segment.create("whole", 600 << 10)
        seg.reserve()
        with open("/dev/shm/sparse", "wb") as file:
            file.write(b"x" * (300 << 10))
            file.truncate(400 << 10)
        sparse = isthmus.Segment.attach("sparse")
        sparse.reserve()
        print(os.fstat(seg.fileno()).st_blocks // 2, os.fstat(sparse.fileno()).st_blocks // 2)
    """
    assert in_tiny_shm(program) == "600 400\n"


def test_attaching_to_an_object_with_holes_is_an_error_on_a_full_disk_too() -> None:
    program = """
        import os, struct, isthmus
        isthmus.Array("whole", 100).close()
        with open("/dev/shm/isthmus.whole", "rb") as file:
            header = bytearray(file.read(256))
        os.unlink("/dev/shm/isthmus.whole")
        struct.pack_into("<Q", header, 24, 1 << 20)  # total_size
        struct.pack_into("<Q", header, 48, 1 << 16)  # control_offset: in the hole
        for name, content in (("nothing", b""), ("header", header)):
            with open(f"/dev/shm/isthmus.{name}", "wb") as file:
                file.write(content)
                file.truncate(1 << 20)
        fill = isthmus.Segment.create("fill", os.statvfs("/dev/shm").f_bavail * 4096)
        for name in ("nothing", "header"):
            for readonly in (False, True):
                try:
                    isthmus.Array(name, timeout=0, readonly=readonly)
                except isthmus.IsthmusError as error:
                    print(type(error).__name__)
    """
    expected = "NotReadyError\n" * 2 + "TruncatedError\n" * 2
    assert in_tiny_shm(program) == expected


def test_a_room_that_shrinks_while_it_is_being_reserved_is_no_crash() -> None:
    """Eight processes at once each want more than an eighth; whoever fails leaves nothing."""
    program = """
        import os, isthmus
        children = []
        reader, writer = os.pipe()
        for number in range(8):
            child = os.fork()
            if child == 0:
                os.read(reader, 1)
                try:
                    seg = isthmus.Segment.create(f"s{number}", 200 << 10)
                    seg.buf[:] = b"x" * len(seg.buf)
                    os._exit(0)
                except isthmus.NoSpaceError:
                    os._exit(1)
            children.append(child)
        os.write(writer, b"12345678")
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        made = codes.count(0)
        print(set(codes) <= {0, 1}, 1 <= made <= 5, made == len(os.listdir("/dev/shm")))
        print(os.statvfs("/dev/shm").f_bfree == 256 - 50 * made)
    """
    assert in_tiny_shm(program) == "True True True\nTrue\n"


def test_a_file_system_without_inodes_left_and_one_mounted_read_only_are_told_from_others() -> None:
    program = """
        import isthmus
        for make in (lambda: isthmus.Segment.create("x", 10), lambda: isthmus.Array("x", 10)):
            try:
                make()
            except OSError as error:
                text = str(error)
                print(type(error).__name__, "no inode of 1" in text, "read-only" in text)
    """
    told = "NoSpaceError True False\n" * 2
    assert in_tiny_shm(program, "size=1M,nr_inodes=1") == told
    assert in_tiny_shm(program, "size=1M,ro") == "AccessError False True\n" * 2
