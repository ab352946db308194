"""Ways to carry messages of 64 bytes from one process to another, each used the best it offers.

A carrier is made before the processes that use it are forked. One of them calls `sender`, another
`receiver`; both then meet, so that who listens is there before anything is said.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import itertools
import mmap
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import posix_ipc

import isthmus

SIZE = 64
# Bytes that each has room for, or as many messages.
ROOM = 1 << 20
MESSAGES = 1 << 13

Send = Callable[[bytes], object]
Receive = Callable[[], bytes]

_numbers = itertools.count()


def new_name() -> str:
    return f"bench-{os.getpid()}-{next(_numbers)}"


def installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


class Carrier:
    """From one process, or several, to another."""

    def sender(self) -> Send:
        raise NotImplementedError

    def receiver(self) -> Receive:
        raise NotImplementedError

    def sent(self) -> None:
        """The sending process ends: nothing that it sent may get lost."""

    def close(self) -> None:
        """Nobody uses it any more."""


class QueueCarrier(Carrier):
    def __init__(self, spin: float | None = None) -> None:
        self.queue = isthmus.Queue(capacity=ROOM, spin=spin)

    def sender(self) -> Send:
        return self.queue.put

    def receiver(self) -> Receive:
        return self.queue.get

    def close(self) -> None:
        self.queue.close()


class TopicCarrier(Carrier):
    """One publisher; `receiver` is for any number of processes: each gets all."""

    def __init__(self, spin: float | None = None) -> None:
        self.name, self.spin = new_name(), spin
        # Not to be lost between one process and the next.
        self.keep = isthmus.Publisher(self.name, capacity=ROOM)

    def sender(self) -> Send:
        self.handle: Any = isthmus.Publisher(self.name, spin=self.spin)
        return self.handle.publish

    def receiver(self) -> Receive:
        self.handle = isthmus.Subscriber(self.name, spin=self.spin)
        return self.handle.recv  # type: ignore[no-any-return]

    def close(self) -> None:
        self.keep.close()


class ZeroqCarrier(Carrier):
    def __init__(self) -> None:
        import zeroq

        self.module, self.name = zeroq, new_name()
        self.queue = zeroq.Queue(self.name, SIZE, MESSAGES)

    def sender(self) -> Send:
        self.handle = self.module.Queue(self.name, create=False)
        return self.handle.put

    def receiver(self) -> Receive:
        self.handle = self.module.Queue(self.name, create=False)
        return self.handle.get

    def close(self) -> None:
        self.queue.close()


class FasterFifoCarrier(Carrier):
    """Without pickle, since these are bytes."""

    def __init__(self) -> None:
        import faster_fifo

        self.queue = faster_fifo.Queue(ROOM, loads=bytes, dumps=bytes)

    def sender(self) -> Send:
        return self.queue.put  # type: ignore[no-any-return]

    def receiver(self) -> Receive:
        return self.queue.get  # type: ignore[no-any-return]


class ZmqCarrier(Carrier):
    """PUSH and PULL over a Unix socket."""

    def __init__(self) -> None:
        import zmq

        self.module = zmq
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.address = f"ipc://{self.folder}/socket"

    def sender(self) -> Send:
        self.context = self.module.Context()
        self.socket = self.context.socket(self.module.PUSH)
        self.socket.set_hwm(MESSAGES)
        self.socket.connect(self.address)
        return self.socket.send

    def receiver(self) -> Receive:
        self.context = self.module.Context()
        self.socket = self.context.socket(self.module.PULL)
        self.socket.set_hwm(MESSAGES)
        self.socket.bind(self.address)
        return self.socket.recv

    def sent(self) -> None:
        self.socket.close()
        self.context.term()

    def close(self) -> None:
        shutil.rmtree(self.folder)


class MultiprocessingQueueCarrier(Carrier):
    def __init__(self) -> None:
        self.queue: Any = multiprocessing.Queue(MESSAGES)

    def sender(self) -> Send:
        return self.queue.put  # type: ignore[no-any-return]

    def receiver(self) -> Receive:
        return self.queue.get  # type: ignore[no-any-return]

    def sent(self) -> None:
        self.queue.close()
        self.queue.join_thread()

    close = sent


class PipeCarrier(Carrier):
    def __init__(self) -> None:
        self.there, self.here = multiprocessing.Pipe(duplex=False)

    def sender(self) -> Send:
        return self.here.send_bytes

    def receiver(self) -> Receive:
        return self.there.recv_bytes

    def close(self) -> None:
        self.there.close()
        self.here.close()


class PosixQueueCarrier(Carrier):
    """Of as many messages as any user may have, ten."""

    def __init__(self) -> None:
        self.queue = posix_ipc.MessageQueue(
            f"/{new_name()}", posix_ipc.O_CREX, max_messages=10, max_message_size=SIZE
        )
        self.queue.unlink()

    def sender(self) -> Send:
        return self.queue.send

    def receiver(self) -> Receive:
        receive = self.queue.receive
        return lambda: receive()[0]

    def close(self) -> None:
        self.queue.close()


class SemaphoreCarrier(Carrier):
    """A semaphore beside a raw segment, with room for one message: for round trips only."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, SIZE)
        self.semaphore = posix_ipc.Semaphore(f"/{new_name()}", posix_ipc.O_CREX)
        self.semaphore.unlink()

    def sender(self) -> Send:
        memory, release = self.memory, self.semaphore.release

        def send(message: bytes) -> None:
            memory[:] = message
            release()

        return send

    def receiver(self) -> Receive:
        memory, acquire = self.memory, self.semaphore.acquire

        def receive() -> bytes:
            acquire()
            return memory[:]

        return receive

    def close(self) -> None:
        self.semaphore.close()
        self.memory.close()


class IceoryxCarrier(Carrier):
    """Publish and subscribe with a loan for each message, looking until there is one."""

    def __init__(self) -> None:
        import iceoryx2

        self.module: Any = iceoryx2
        self.module.set_log_level(iceoryx2.LogLevel.Error)
        self.name = new_name()
        # What it keeps for all processes of the host, in a place of its own, to be removed.
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.config = self.module.config.default()
        self.config.global_cfg.root_path = self.module.Path.new(self.folder)
        self.config.global_cfg.prefix = self.module.FileName.new(f"{self.name}_")

    def _service(self) -> Any:
        module = self.module
        builder = module.NodeBuilder.new().config(self.config)
        self.node = builder.create(module.ServiceType.Ipc)
        builder = self.node.service_builder(module.ServiceName.new(self.name))
        return builder.publish_subscribe(module.Slice[ctypes.c_uint8]).open_or_create()

    def sender(self) -> Send:
        self.service = self._service()
        builder = self.service.publisher_builder().initial_max_slice_len(SIZE)
        self.port = builder.create()
        loan, move = self.port.loan_slice_uninit, ctypes.memmove

        def send(message: bytes) -> None:
            sample = loan(SIZE)
            move(sample.payload_ptr, message, SIZE)
            sample.assume_init().send()

        return send

    def receiver(self) -> Receive:
        self.service = self._service()
        self.port = self.service.subscriber_builder().create()
        look, string_at = self.port.receive, ctypes.string_at

        def receive() -> bytes:
            while (sample := look()) is None:
                pass
            return string_at(sample.payload_ptr, SIZE)

        return receive

    def close(self) -> None:
        shutil.rmtree(self.folder)
        for path in Path("/dev/shm").glob(f"{self.name}_*"):
            path.unlink()


@contextlib.contextmanager
def carriers(*kinds: Callable[[], Carrier]) -> Iterator[list[Carrier]]:
    with contextlib.ExitStack() as stack:
        made = []
        for kind in kinds:
            carrier = kind()
            stack.callback(carrier.close)
            made.append(carrier)
        yield made


def messages(count: int) -> list[bytes]:
    """So many, all different."""
    return [number.to_bytes(8, "little") * (SIZE // 8) for number in range(count)]
