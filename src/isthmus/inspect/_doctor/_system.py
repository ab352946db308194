"""The files of /proc, /sys and /etc that tell about the machine; under another root, in tests."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from isthmus.inspect._doctor._facts import Mount, Use

#: The kind of a file system where /proc does not tell it.
UNKNOWN = "unknown"
# No file that is read here is longer; one that is, is not what it should be.
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class System:
    """Looks at files below a root; what is not there or not readable is None, or empty."""

    root: str = "/"

    def path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def text(self, path: str) -> str | None:
        try:
            with open(self.path(path), encoding="utf-8", errors="replace") as file:
                return file.read(_LONGEST)
        except OSError:
            return None

    def lines(self, path: str) -> list[str]:
        return (self.text(path) or "").splitlines()

    def number(self, path: str) -> int | None:
        """The first word of a file, if that is a number."""
        words = (self.text(path) or "").split()
        return int(words[0]) if words and words[0].isdecimal() else None

    def exists(self, path: str) -> bool:
        return os.path.exists(self.path(path))

    def names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self.path(path)))
        except OSError:
            return []

    def link(self, path: str) -> str | None:
        try:
            return os.readlink(self.path(path))
        except OSError:
            return None

    # ---- Mounts -----------------------------------------------------------------------

    def mount(self, path: str) -> Mount | None:
        """What is mounted exactly there: the last one, which hides those before."""
        found: tuple[str, set[str]] | None = None
        for line in self.lines("/proc/self/mountinfo"):
            # 30 25 0:27 / /dev/shm rw,relatime shared:3 - tmpfs tmpfs rw,size=65536k
            words, dash, rest = line.partition(" - ")
            fields, more = words.split(" "), rest.split(" ")
            if dash and len(fields) > 5 and len(more) > 2 and fields[4] == path:
                found = more[0], {*fields[5].split(","), *more[2].split(",")}
                # The file system may be writable and this mount of it not.
                if "ro" in found[1]:
                    found[1].discard("rw")
        if found is not None:
            return self._measured(path, found[0], frozenset(found[1]))
        if not self.exists("/proc/self/mountinfo") and os.path.ismount(self.path(path)):
            return self._measured(path, UNKNOWN, frozenset())
        return None

    def _measured(self, path: str, kind: str, options: frozenset[str]) -> Mount:
        try:
            status, room = os.stat(self.path(path)), os.statvfs(self.path(path))
        except OSError:
            return Mount(path=path, kind=kind, options=options)
        return Mount(
            path=path,
            kind=kind,
            options=options,
            size=room.f_blocks * room.f_frsize,
            free=room.f_bavail * room.f_frsize,
            inodes=room.f_files,
            inodes_free=room.f_favail,
            mode=stat.S_IMODE(status.st_mode),
        )

    # ---- Memory -----------------------------------------------------------------------

    def memory(self) -> dict[str, int]:
        """/proc/meminfo, in bytes (numbers of huge pages: as they are)."""
        found = {}
        for line in self.lines("/proc/meminfo"):
            name, _, rest = line.partition(":")
            words = rest.split()
            if words and words[0].isdecimal():
                found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
        return found

    # ---- Control groups ---------------------------------------------------------------

    def control_groups(self) -> dict[str, list[str]]:
        """For "" (version 2) and each controller of version 1: the folders of the group of this
        process and of all above it."""
        found: dict[str, list[str]] = {}
        mounts = self._cgroup_mounts()
        for line in self.lines("/proc/self/cgroup"):
            # 0::/user.slice or 4:memory:/docker/1f…
            number, _, rest = line.partition(":")
            controllers, _, group = rest.partition(":")
            for controller in [""] if number == "0" else controllers.split(","):
                if controller in mounts:
                    mount, top = mounts[controller]
                    found[controller] = _upwards(mount, group, top)
        return found

    def _cgroup_mounts(self) -> dict[str, tuple[str, str]]:
        """Where each controller is mounted, and which group is at the top of that mount."""
        found = {}
        for line in self.lines("/proc/self/mountinfo"):
            words, _, rest = line.partition(" - ")
            fields, more = words.split(" "), rest.split(" ")
            if len(fields) < 6 or len(more) < 3:
                continue
            if more[0] == "cgroup2":
                found[""] = fields[4], fields[3]
            elif more[0] == "cgroup":
                for controller in more[2].split(","):
                    found[controller] = fields[4], fields[3]
        return found

    def memory_limit(self) -> Use:
        """The limit that is nearest to being hit."""
        uses = []
        groups = self.control_groups()
        for folder in groups.get("", []):
            uses.append((f"{folder}/memory.current", f"{folder}/memory.max"))
        for folder in groups.get("memory", []):
            uses.append((f"{folder}/memory.usage_in_bytes", f"{folder}/memory.limit_in_bytes"))
        total = self.memory().get("MemTotal", 0)
        found: list[tuple[int, int]] = []
        for used, limit in uses:
            most = self.number(limit)
            # Without a limit, version 2 says "max", and version 1 a number beyond all memory.
            if most is not None and (not total or most < total):
                found.append((most, self.number(used) or 0))
        if not found:
            return Use(used=None, limit=None)
        most, amount = min(found, key=lambda one: one[0] - one[1])
        return Use(used=amount, limit=most)

    def cpu_quota(self) -> float | None:
        """How many processors' time the control groups give; None: no limit."""
        groups = self.control_groups()
        found = []
        for folder in groups.get("", []):
            words = (self.text(f"{folder}/cpu.max") or "").split()
            if len(words) == 2 and all(one.isdecimal() for one in words) and int(words[1]):
                found.append(int(words[0]) / int(words[1]))
        for folder in groups.get("cpu", []):
            quota = self.number(f"{folder}/cpu.cfs_quota_us")
            period = self.number(f"{folder}/cpu.cfs_period_us")
            if quota is not None and period:
                found.append(quota / period)
        return min(found, default=None)


def _upwards(mount: str, group: str, top: str) -> list[str]:
    """The folders from a group up to the mount, in a container that sees only its own part."""
    inside = group.removeprefix(top) if top != "/" else group
    if ".." in Path(inside).parts:
        # Of a group outside what this namespace sees.
        inside = "/"
    parts = [one for one in inside.split("/") if one]
    return ["/".join([mount.rstrip("/"), *parts[:count]]) for count in range(len(parts), -1, -1)]
