"""What the doctor says of made-up machines."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from isthmus.inspect import Finding
from isthmus.inspect._doctor import Facts, examine
from isthmus.inspect._doctor._facts import GIB, Mount, Use
from isthmus.inspect._doctor._kernel import _FEATURES

MIB = 1 << 20
HEALTHY = Facts(
    limits=dict.fromkeys(("NOFILE", "MEMLOCK", "FSIZE", "MSGQUEUE", "AS"), (None, None)),
    settings={
        "fs.inotify.max_user_instances": "128",
        "fs.inotify.max_user_watches": "65536",
        "fs.mqueue.msg_max": "10",
        "fs.mqueue.msgsize_max": "8192",
        "fs.mqueue.queues_max": "256",
        "kernel.msgmni": "32000",
        "kernel.sem": "32000 1024000000 500 32000",
        "kernel.shm_rmid_forced": "0",
        "kernel.shmall": "18446744073692774399",
        "kernel.shmmax": "18446744073692774399",
        "kernel.shmmni": "4096",
        "vm.memfd_noexec": "0",
        "vm.overcommit_memory": "0",
    },
    features=dict.fromkeys(_FEATURES),
    huge_shmem="within_size",
    inotify=3,
    sysv={"segments": 2, "pages": 200, "sets": 1, "semaphores": 4, "queues": 0},
    queues=1,
)
assert HEALTHY.shm is not None
SHM = replace(HEALTHY.shm, options=frozenset(["rw", "huge=within_size"]))
HEALTHY = replace(HEALTHY, shm=SHM)


def findings(**changes: Any) -> dict[str, Finding]:
    """Those that are not "ok", of a machine that is healthy but for these facts."""
    settings = {**HEALTHY.settings, **changes.pop("settings", {})}
    return {
        one.check: one
        for one in examine(replace(HEALTHY, settings=settings, **changes))
        if one.severity != "ok"
    }


def the(check: str, severity: str, **changes: Any) -> Finding:
    """The only finding of that machine, which says why and what to do."""
    found = findings(**changes)
    assert set(found) == {check}
    assert found[check].severity == severity
    assert found[check].why
    assert found[check].remedy
    return found[check]


def shm(**changes: Any) -> Mount:
    return replace(SHM, **changes)


def test_a_healthy_machine_has_nothing_but_good_findings_each_with_its_own_name() -> None:
    found = examine(HEALTHY)
    assert findings() == {}
    assert len({one.check for one in found}) == len(found) > 25
    assert all(one.what and one.group for one in found)


def test_a_machine_of_which_nothing_is_known_is_examined_all_the_same() -> None:
    bare = Facts(shm=None, mqueue=None, memory=0, memory_available=0, features={}, proc=False)
    severities = [one.severity for one in examine(bare)]
    assert severities[0] == "problem"
    assert severities == sorted(severities, key=["problem", "warning", "note", "ok"].index)


def test_without_shared_memory_there_is_a_problem() -> None:
    assert "mount -t tmpfs" in the("shm-mounted", "problem", shm=None).remedy
    the("shm-mounted", "warning", shm=shm(kind="ext4"))


def test_shared_memory_has_to_be_writable_and_safe_from_others() -> None:
    the("shm-writable", "problem", shm=shm(options=SHM.options - {"rw"} | {"ro"}))
    the("shm-writable", "warning", shm=shm(mode=0o777))
    the("shm-writable", "note", shm=shm(mode=0o755))
    refused = {**HEALTHY.features, "unnamed-files": "EACCES: Permission denied", "naming": "x"}
    found = findings(shm=shm(mode=0o755), features=refused)
    assert found["shm-writable"].severity == "problem"
    # What could not be tried because of that is not told as well.
    assert set(found) == {"shm-writable"}


def test_the_64_mib_of_a_container_are_explained_with_the_way_out_of_each() -> None:
    small = shm(size=64 * MIB, free=64 * MIB)
    for container, words in [
        (None, "remount,size="),
        ("Docker", "--shm-size="),
        ("Kubernetes", "medium: Memory"),
    ]:
        found = findings(shm=small, container=container, initial_ipc=container is None)
        assert found["shm-size"].severity == "warning"
        assert "64 MiB" in found["shm-size"].what
        assert words in found["shm-size"].remedy
    the("shm-size", "note", shm=shm(size=0, free=0, inodes=0, inodes_free=0))


@pytest.mark.parametrize(
    ("free", "severity"), [(0.5, None), (0.1, "warning"), (0.01, "problem"), (0, "problem")]
)
def test_how_full_it_is_decides_how_bad_that_is(free: float, severity: str | None) -> None:
    bytes_, files = int(SHM.size * free), int(SHM.inodes * free)
    by_bytes, by_files = findings(shm=shm(free=bytes_)), findings(shm=shm(inodes_free=files))
    assert [one.severity for one in by_bytes.values()] == ([severity] if severity else [])
    assert set(by_bytes) == ({"shm-use"} if severity else set())
    assert set(by_files) == ({"shm-files"} if severity else set())


def test_what_is_on_a_disk_is_not_told_to_be_mounted_anew_with_another_size() -> None:
    disk = shm(kind="ext4", size=64 * MIB, free=0, inodes_free=0)
    found = findings(shm=disk, memory_available=0, swap_free=0)
    assert {"shm-mounted", "shm-size", "shm-use", "shm-files"} <= set(found)
    assert "memory" not in found
    assert not any("remount" in one.remedy for one in found.values())


def test_memory_that_is_promised_and_not_there_is_told() -> None:
    the("memory", "note", memory_available=GIB, swap_free=GIB)
    the("memory-limit", "note", cgroup=Use(used=GIB, limit=4 * GIB))
    the("memory-limit", "warning", cgroup=Use(used=31 * GIB, limit=32 * GIB))
    assert findings(cgroup=Use(used=GIB, limit=32 * GIB)) == {}
    the("overcommit", "note", settings={"vm.overcommit_memory": "2"})


@pytest.mark.parametrize(
    ("limit", "low", "enough", "check"),
    [
        ("NOFILE", 64, 1024, "open-files"),
        ("MEMLOCK", 65536, 8 * MIB, "locked-memory"),
        ("FSIZE", GIB, 8 * GIB, "file-size"),
        ("AS", GIB, 64 * GIB, "address-space"),
        ("MSGQUEUE", 8192, 819200, "queue-bytes"),
        ("SIGPENDING", 10, 30000, "pending-signals"),
    ],
)
def test_a_low_limit_is_told_with_its_command(
    limit: str, low: int, enough: int, check: str
) -> None:
    found = findings(limits={limit: (low, None)})
    assert set(found) == {check}
    assert "`ulimit -" in found[check].remedy
    assert "as root" not in found[check].remedy
    assert "as root" in findings(limits={limit: (low, low)})[check].remedy
    assert findings(limits={limit: (enough, enough)}) == {}


def test_doorbells_that_run_out_are_told() -> None:
    assert "=1024`" in the("inotify-instances", "warning", inotify=127).remedy
    none = {**HEALTHY.features, "inotify": "EMFILE: Too many open files"}
    the("inotify-instances", "warning", features=none)
    the("inotify-watches", "note", settings={"fs.inotify.max_user_watches": "100"})


def test_system_v_objects_near_their_limits_are_told_each_with_its_setting() -> None:
    def near(key: str, count: int) -> str:
        return the(f"sysv-{key}", "warning", sysv={**HEALTHY.sysv, key: count}).remedy

    assert "kernel.shmmni=8192`" in near("segments", 4000)
    assert "kernel.msgmni=64000`" in near("queues", 32000)
    assert 'kernel.sem="32000 1024000000 500 64000"' in near("sets", 31000)
    assert 'kernel.sem="32000 2048000000 500 32000"' in near("semaphores", 1 << 30)
    the("sysv-size", "note", settings={"kernel.shmmax": str(32 * MIB)})
    the("shm-rmid-forced", "warning", settings={"kernel.shm_rmid_forced": "1"})


def test_message_queues_are_looked_after() -> None:
    the("mqueue", "note", mqueue=None)
    assert "queues_max=512`" in the("mqueue", "warning", queues=250).remedy


@pytest.mark.parametrize("feature", sorted(_FEATURES))
def test_what_the_kernel_cannot_do_is_told_with_its_answer(feature: str) -> None:
    lacking = {**HEALTHY.features, feature: "ENOSYS: Function not implemented"}
    found = findings(features=lacking)
    assert set(found) == {feature}
    assert "ENOSYS" in found[feature].what
    assert found[feature].why
    assert found[feature].remedy


def test_memory_without_a_name_may_be_forbidden_by_a_setting() -> None:
    lacking = {**HEALTHY.features, "anonymous-memory": "EACCES: Permission denied"}
    found = findings(features=lacking, settings={"vm.memfd_noexec": "2"})
    assert "vm.memfd_noexec=1" in found["anonymous-memory"].remedy


def test_hidden_processes_are_told_to_those_who_cannot_see_them() -> None:
    the("proc", "note", hidepid="invisible")
    assert findings(hidepid="invisible", uid=0) == {}
    # Of what only /proc could tell, nothing is claimed.
    the("proc", "warning", proc=False, sysv={}, settings={"fs.mqueue.queues_max": ""})


def test_what_systemd_removes_at_logout_is_told_to_those_whom_it_concerns() -> None:
    trap = {"systemd": True, "remove_ipc": True, "user": "alice", "remove_ipc_file": "/etc/x"}
    found = the("remove-ipc", "warning", **trap)
    assert "`loginctl enable-linger alice`" in found.remedy
    assert "/etc/x" in found.what
    the("remove-ipc", "note", **{**trap, "remove_ipc": None})
    for harmless in ({"remove_ipc": False}, {"linger": True}, {"uid": 999}, {"systemd": False}):
        assert findings(**{**trap, **harmless}) == {}


def test_a_container_is_told_whom_it_shares_with() -> None:
    found = the("container", "note", container="Docker", initial_ipc=False, initial_pid=False)
    assert "--ipc=container:" in found.remedy
    assert "pids" in found.why
    shared = findings(container="Docker", initial_ipc=True, initial_pid=False)
    assert "of the host" in shared["container"].what
    assert "(Docker)" in shared["container"].what
    the("container", "note", initial_pid=False)
    assert "PrivateIPC" in the("container", "note", initial_ipc=False).what


def test_processors_decide_about_spinning() -> None:
    the("processors", "note", cpus=1)
    assert "ISTHMUS_SPIN_US=0" in the("processors", "note", cpu_quota=0.5).remedy
    assert findings(cpu_quota=2.0) == {}


def test_huge_pages_are_advised_where_they_are_off() -> None:
    the("huge-pages", "note", shm=shm(options=frozenset(["rw"])))
    assert "shmem_enabled" in the("huge-pages", "note", huge_shmem="deny").remedy
    assert findings(huge_shmem="force", shm=shm(options=frozenset())) == {}
    assert findings(huge_shmem=None) == {}
    hoard = {"huge_size": 2 * MIB, "huge_total": 2048}
    assert "nr_hugepages=48`" in the("reserved-pages", "note", **hoard, huge_free=2000).remedy
    assert findings(**hoard, huge_free=0) == {}


def test_every_command_in_a_remedy_is_one_that_a_shell_can_read() -> None:
    ill = examine(
        Facts(
            shm=shm(size=64 * MIB, free=MIB, mode=0o777, options=frozenset(["ro"])),
            memory_available=0,
            swap_free=0,
            limits=dict.fromkeys(("NOFILE", "FSIZE", "AS", "MSGQUEUE"), (1, 1)),
            settings={**HEALTHY.settings, "vm.overcommit_memory": "2"},
            features=dict.fromkeys(_FEATURES, "EPERM: no"),
            sysv={"segments": 4096, "sets": 32000},
            systemd=True,
            cpus=1,
        )
    )
    commands = [part for one in ill for part in one.remedy.split("`")[1::2]]
    assert len(commands) > 15
    assert all(shlex.split(command) for command in commands)
    # Quotes come in pairs.
    assert all(one.remedy.count("`") % 2 == 0 for one in ill)
