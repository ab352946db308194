"""Whose an object is, by its name: only where a name can hardly be of anybody else."""

from __future__ import annotations

import re

# Names of files in the directory of shared memory, and what makes such. The first that fits tells.
_KNOWN = tuple(
    (re.compile(pattern), library)
    for pattern, library in (
        # Not to be taken for PSM, a library of networks: psm2_shm.….
        (r"psm_[0-9a-f]{8}", "multiprocessing"),
        (r"sem\.mp-[a-z0-9_]{8}", "multiprocessing"),
        (r"pym-\d+-.*", "multiprocessing"),
        (r"sem\.loky-\d+-.*", "joblib"),
        (r"torch_\d+_\d+(_\d+)?", "PyTorch"),
        (r"nccl-[A-Za-z0-9]{6}|nccl-shm-.*", "NCCL"),
        (r"PostgreSQL\.\d+", "PostgreSQL"),
        (r"pulse-shm-\d+", "PulseAudio"),
        (r"(vader|sm)_segment\..*|osc_(rdma|sm)\..*", "Open MPI"),
        (r"psm2_shm\..*|psm3_shm\..*", "PSM"),
        (r"iox2_.*", "iceoryx2"),
        (r"iceoryx_mgmt", "iceoryx"),
        (r"sem\.MDB[rw].+", "LMDB"),
        (r"(sem\.)?(fastrtps|fastdds)_.*|fast_datasharing_.*", "Fast DDS"),
        (r"\.(org\.chromium\.Chromium|com\.google\.Chrome|com\.microsoft\.Edge)\..*", "Chromium"),
        (r"org\.mozilla\.ipc\..*|wayland\.mozilla\.ipc\..*", "Firefox"),
        (r"lttng-ust-wait-\d+(-\d+)?", "LTTng"),
        (r"jack-shm-registry|jack-\d+-\d+|(sem\.)?jack_sem\..*|jack_default_.*", "JACK"),
        (r"plasma[A-Za-z0-9]{6}", "Ray"),
        (r"u\d+-(Shm_|ValveIPC).*|ValveIPCSHM_\d+", "Steam"),
        (r"libpod(_rootless)?_lock(_\d+)?", "Podman"),
        (r"envoy_shared_memory_\d+", "Envoy"),
    )
)


def library(file: str) -> str | None:
    """What makes files of such names in the directory of shared memory; None: not known.

    >>> library("psm_21467ac4"), library("torch_8812_1437_0"), library("my-data")
    ('multiprocessing', 'PyTorch', None)
    """
    for pattern, name in _KNOWN:
        if pattern.fullmatch(file):
            return name
    return None
