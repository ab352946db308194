"""Where the doctor has its facts from: this machine, and made-up ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from machines import CGROUP2, MOUNTS, machine

from isthmus.inspect import Finding, doctor
from isthmus.inspect._doctor import _tries, gather
from isthmus.inspect._doctor._facts import Use
from isthmus.inspect._doctor._surroundings import container, remove_ipc
from isthmus.inspect._doctor._system import System

MEMINFO = "MemTotal: 4096 kB\nMemAvailable: 1024 kB\nHugePages_Total: 3\nHugepagesize: 2048 kB\n"


def test_this_machine_can_be_examined_and_is_left_as_it_was() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    found = doctor()
    assert all(isinstance(one, Finding) for one in found)
    assert {"kernel", "shm-size", "naming", "futex-waitv"} <= {one.check for one in found}
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_what_is_tried_tells_of_this_kernel_and_leaves_no_file(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fixture looks whether anything of that name is left.
    monkeypatch.setattr(_tries, "DRAFT_PREFIX", f".{name}-")
    facts = gather()
    assert facts.features["naming"] is None
    assert facts.features["unnamed-files"] is None
    assert facts.features["description-locks"] is None
    assert facts.shm is not None
    assert facts.shm.size >= facts.shm.free > 0
    assert facts.kernel == os.uname().release


def test_a_machine_below_a_folder_is_read_and_nothing_of_this_one(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "/proc/self/mountinfo": MOUNTS + "9 1 0:9 / /proc rw - proc proc rw,hidepid=2\n",
            "/proc/self/status": "Name: x\nSeccomp:\t2\n",
            "/proc/meminfo": MEMINFO,
            "/proc/sys/kernel/osrelease": "5.4.0-toy\n",
            "/proc/sys/kernel/sem": "250\t32000\t32\t128\n",
            "/proc/sysvipc/shm": "key shmid perms size cpid\n 0 1 600 4097 9\n 0 2 600 1 9\n",
            "/proc/sysvipc/sem": "key semid perms nsems uid\n 0 1 600 5 0\n",
            "/proc/sysvipc/msg": "key msqid\n",
            "/sys/kernel/mm/transparent_hugepage/shmem_enabled": "always [deny] force\n",
            "/run/systemd/system/x": "",
        },
    )
    facts = gather(root, tries=False)
    assert facts.kernel == "5.4.0-toy"
    assert facts.memory == 4 << 20
    assert facts.settings == {"kernel.sem": "250 32000 32 128"}
    assert facts.sysv == {"segments": 2, "pages": 3, "sets": 1, "semaphores": 5, "queues": 0}
    assert facts.huge_shmem == "deny"
    assert facts.huge_size == 2 << 20
    assert facts.hidepid == "2"
    assert facts.seccomp
    assert facts.systemd
    assert facts.features == {}
    assert facts.shm is not None
    assert facts.shm.option("size") == "65536k"


def test_instances_of_inotify_of_this_user_are_counted(tmp_path: Path) -> None:
    for process, fds in (("7", 2), ("8", 1), ("self", 5)):
        folder = tmp_path / "proc" / process / "fd"
        folder.mkdir(parents=True)
        for fd in range(fds):
            (folder / str(fd)).symlink_to("anon_inode:inotify")
        (folder / "99").symlink_to("/dev/null")
    assert gather(str(tmp_path), tries=False).inotify == 3
    assert gather(str(tmp_path / "empty"), tries=False).inotify is None


def test_the_last_mount_at_a_place_is_the_one_that_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "/proc/self/mountinfo": MOUNTS
            + "30 25 0:27 / /dev/shm ro,nosuid - tmpfs shm rw,size=1g\n"
        },
    )
    mount = System(root).mount("/dev/shm")
    assert mount is not None
    assert mount.options == {"ro", "nosuid", "size=1g"}
    assert System(root).mount("/dev/mqueue") is None


@pytest.mark.parametrize("damaged", ["", "\n - \n", "1 2 3\n", "a b c d /dev/shm - \n", "\0" * 50])
def test_a_table_of_mounts_that_makes_no_sense_has_no_mounts(tmp_path: Path, damaged: str) -> None:
    system = System(machine(tmp_path, {"/proc/self/mountinfo": damaged}))
    assert system.mount("/dev/shm") is None
    assert system.memory_limit() == Use(used=None, limit=None)


def test_the_tightest_limit_of_all_groups_above_counts(tmp_path: Path) -> None:
    group = "/sys/fs/cgroup/user.slice"
    files = {
        "/proc/self/mountinfo": MOUNTS + CGROUP2,
        "/proc/self/cgroup": "0::/user.slice/app\n",
        "/proc/meminfo": "MemTotal: 4096 kB\n",
        f"{group}/app/memory.max": "max\n",
        f"{group}/app/memory.current": "1\n",
        f"{group}/memory.max": "2097152\n",
        f"{group}/memory.current": "1048576\n",
        f"{group}/app/cpu.max": "max 100000\n",
        f"{group}/cpu.max": "150000 100000\n",
    }
    system = System(machine(tmp_path, files))
    assert system.memory_limit() == Use(used=1 << 20, limit=2 << 20)
    assert system.cpu_quota() == 1.5


def test_groups_of_the_first_version_are_read_also_from_inside_a_container(tmp_path: Path) -> None:
    top = "/docker/1f"
    files = {
        "/proc/self/mountinfo": f"3 2 0:3 {top} /sys/fs/cgroup/memory ro - cgroup c rw,memory\n"
        f"4 2 0:4 {top} /sys/fs/cgroup/cpu ro - cgroup c rw,cpu,cpuacct\n",
        "/proc/self/cgroup": f"4:memory:{top}\n3:cpu,cpuacct:{top}/../../../x\n",
        "/proc/meminfo": "MemTotal: 4096 kB\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": "4096\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    system = System(machine(tmp_path, files))
    assert system.memory_limit() == Use(used=4096, limit=1 << 20)
    assert system.cpu_quota() is None


def test_remove_ipc_is_read_as_systemd_reads_it(tmp_path: Path) -> None:
    system = System(str(tmp_path))

    def said(name: str, text: str) -> tuple[bool | None, str | None]:
        machine(tmp_path, {name: text})
        return remove_ipc(system)

    assert remove_ipc(system) == (None, None)
    main = "/usr/lib/systemd/logind.conf"
    assert said(main, "[Login]\n#RemoveIPC=no\n") == (False, main)
    main = "/etc/systemd/logind.conf"
    assert said(main, "[Login]\n#RemoveIPC=yes\n") == (True, main)
    assert said(main, "[Login]\n#RemoveIPC=yes\n RemoveIPC = off\n") == (False, main)
    assert said(main, "[Other]\nRemoveIPC=yes\n") == (None, None)
    late = "/usr/lib/systemd/logind.conf.d/90-late.conf"
    assert said(late, "[Login]\nRemoveIPC=true\n") == (True, late)
    assert said("/etc/systemd/logind.conf.d/10-early.conf", "[Login]\nRemoveIPC=no\n")[0] is True
    # One of the same name in /etc takes its place, be it empty.
    assert said("/etc/systemd/logind.conf.d/90-late.conf", "")[0] is False


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("/.dockerenv", "", "Docker"),
        ("/run/.containerenv", "", "Podman"),
        ("/run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
        ("/proc/1/environ", "A=1\0container=lxc\0", "lxc"),
        ("/proc/self/cgroup", "4:memory:/kubepods/besteffort\n", "Kubernetes"),
        ("/proc/self/cgroup", "0::/user.slice\n", None),
    ],
)
def test_a_container_is_recognised(
    tmp_path: Path, name: str, text: str, expected: str | None
) -> None:
    assert container(System(machine(tmp_path, {name: text}))) == expected
