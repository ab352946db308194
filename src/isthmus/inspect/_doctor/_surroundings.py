"""Where the machine's manager, or a container, has a hand in what stays and who sees what."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._doctor._system import System

# Where systemd looks for logind.conf and for logind.conf.d, the strongest first (logind.conf(5)).
_FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
_TRUE = frozenset(["1", "yes", "y", "true", "t", "on"])
_FALSE = frozenset(["0", "no", "n", "false", "f", "off"])
# Numbers of the namespaces that a machine starts with (include/uapi/linux/nsfs.h).
_INITIAL = {"ipc": 0xEFFFFFFF, "pid": 0xEFFFFFFC}


def remove_ipc(system: System) -> tuple[bool | None, str | None]:
    """What RemoveIPC is, and in which file it stands; None: in none.

    A line that is commented out in the main file tells the default that systemd was built with.
    """
    value, file = None, None
    main = next((f"{one}/logind.conf" for one in _FOLDERS if _is(system, one)), None)
    if main is not None:
        value, file = _read(system, main, comments=True)
    # Of files of the same name, the one in the strongest folder counts; then by their names.
    more: dict[str, str] = {}
    for folder in reversed(_FOLDERS):
        for name in system.names(f"{folder}/logind.conf.d"):
            if name.endswith(".conf"):
                more[name] = f"{folder}/logind.conf.d/{name}"
    for name in sorted(more):
        said, _ = _read(system, more[name], comments=False)
        if said is not None:
            value, file = said, more[name]
    return value, file


def _is(system: System, folder: str) -> bool:
    return system.exists(f"{folder}/logind.conf")


def _read(system: System, path: str, *, comments: bool) -> tuple[bool | None, str | None]:
    value, default, section = None, None, ""
    for line in system.lines(path):
        text = line.strip()
        if text.startswith("["):
            section = text
        comment = text.startswith(("#", ";"))
        name, equals, word = text.lstrip("#; ").partition("=")
        if section != "[Login]" or not equals or name.strip() != "RemoveIPC":
            continue
        word = word.strip().lower()
        said = True if word in _TRUE else False if word in _FALSE else None
        if comment:
            default = said if comments else None
        elif said is not None:
            value = said
    found = default if value is None else value
    return found, None if found is None else path


def container(system: System) -> str | None:
    """The kind of container that this process is in, as far as containers say so."""
    if "KUBERNETES_SERVICE_HOST" in os.environ and system.root == "/":
        return "Kubernetes"
    if system.exists("/run/.containerenv"):
        return "Podman"
    if system.exists("/.dockerenv"):
        return "Docker"
    said = (system.text("/run/systemd/container") or "").strip()
    if not said:
        # What the first process was started with; only its own user may read that.
        words = (system.text("/proc/1/environ") or "").split("\0")
        said = next((one[10:] for one in words if one.startswith("container=")), "")
    if said:
        return {"docker": "Docker", "podman": "Podman"}.get(said, said)
    groups = system.text("/proc/self/cgroup") or ""
    for word, name in (("kubepods", "Kubernetes"), ("docker", "Docker"), ("lxc", "LXC")):
        if f"/{word}" in groups:
            return name
    return None


def initial(system: System, kind: str) -> bool | None:
    """Whether this process is in the namespace that the machine started with."""
    # "pid:[4026531836]"
    link = system.link(f"/proc/self/ns/{kind}") or ""
    number = link.partition("[")[2].rstrip("]")
    return int(number) == _INITIAL[kind] if number.isdecimal() else None
