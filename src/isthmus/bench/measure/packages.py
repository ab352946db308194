"""Carriers of other packages, which need not be installed."""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
import tempfile
from pathlib import Path

from isthmus.bench.measure.carriers import ROOM, SIZE, Carrier, looking, new_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.bench.measure.carriers import Receive, Send


class ZeroqCarrier(Carrier):
    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        self.module: Any = importlib.import_module("zeroq")
        self.name = new_name()
        self.queue = self.module.Queue(self.name, size, self.places)

    def sender(self, number: int = 0) -> Send:
        self.handle = self.module.Queue(self.name, create=False)
        send: Send = self.handle.put
        return send

    def receiver(self) -> Receive:
        self.handle_there = self.module.Queue(self.name, create=False)
        if self.spinning:
            return looking(self.handle_there.get_nowait, self.module.Empty)
        receive: Receive = self.handle_there.get
        return receive

    def close(self) -> None:
        self.queue.close()


class FasterFifoCarrier(Carrier):
    """Without pickle, since these are bytes."""

    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        self.module: Any = importlib.import_module("faster_fifo")
        self.queue = self.module.Queue(max(ROOM, 3 * size), loads=bytes, dumps=bytes)

    def sender(self, number: int = 0) -> Send:
        send: Send = self.queue.put
        return send

    def receiver(self) -> Receive:
        if self.spinning:
            return looking(self.queue.get_nowait, importlib.import_module("queue").Empty)
        receive: Receive = self.queue.get
        return receive


class ZmqCarrier(Carrier):
    """PUSH and PULL over a Unix socket."""

    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        self.module: Any = importlib.import_module("zmq")
        self.folder = tempfile.mkdtemp(prefix=f"{new_name()}-")
        self.address = f"ipc://{self.folder}/socket"

    def _socket(self, kind: int) -> Any:
        self.context = self.module.Context()
        self.socket = self.context.socket(kind)
        self.socket.set_hwm(self.places)
        return self.socket

    def sender(self, number: int = 0) -> Send:
        socket = self._socket(self.module.PUSH)
        socket.connect(self.address)
        send: Send = socket.send
        return send

    def listen(self) -> None:
        self.there = self._socket(self.module.PULL)
        self.there.bind(self.address)

    def receiver(self) -> Receive:
        if not hasattr(self, "there"):
            self.listen()
        receive: Any = self.there.recv
        if self.spinning:
            at_once = self.module.NOBLOCK
            return looking(lambda: receive(at_once), self.module.Again)
        taken: Receive = receive
        return taken

    def sent(self) -> None:
        self.socket.close()
        if not hasattr(self, "there"):
            self.context.term()

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class IceoryxCarrier(Carrier):
    """Publish and subscribe with a loan for each message.

    Spinning, it looks until there is one; else an event tells of each, for which a listener
    sleeps. Who finds no room discards the message and tries again: a publisher that is told to
    retry by itself was seen to wait for good once there was no room.
    """

    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        self.module: Any = importlib.import_module("iceoryx2")
        self.module.set_log_level(self.module.LogLevel.Error)
        self.name = new_name()
        # What it keeps for all processes of the host, in a place of its own, to be removed.
        self.folder = tempfile.mkdtemp(prefix=f"{self.name}-")
        self.config = self.module.config.default()
        self.config.global_cfg.root_path = self.module.Path.new(self.folder)
        self.config.global_cfg.prefix = self.module.FileName.new(f"{self.name}_")

    def _messages(self) -> Any:
        module = self.module
        self.node = module.NodeBuilder.new().config(self.config).create(module.ServiceType.Ipc)
        builder = self.node.service_builder(module.ServiceName.new(self.name))
        messages = builder.publish_subscribe(module.Slice[ctypes.c_uint8])
        messages = messages.max_publishers(self.senders + 1).max_nodes(self.senders + 2)
        if self.streaming:
            # Else who is slow gets only the newest.
            messages = messages.enable_safe_overflow(False)
            messages = messages.subscriber_max_buffer_size(min(self.places, 64))
        return messages.open_or_create()

    def _event(self) -> Any:
        name = self.module.ServiceName.new(f"{self.name}-event")
        event = self.node.service_builder(name).event()
        event = event.max_notifiers(self.senders + 1).max_nodes(self.senders + 2)
        return event.open_or_create()

    def sender(self, number: int = 0) -> Send:
        self.service = self._messages()
        builder = self.service.publisher_builder().initial_max_slice_len(self.size)
        discard = self.module.BackpressureStrategy.DiscardData
        self.port = builder.backpressure_strategy(discard).create()
        loan, move, size = self.port.loan_slice_uninit, ctypes.memmove, self.size

        def send(message: bytes) -> None:
            while True:
                sample = loan(size)
                move(sample.payload_ptr, message, size)
                if sample.assume_init().send():
                    return
                os.sched_yield()

        if self.spinning:
            return send
        self.event = self._event()
        self.notifier = self.event.notifier_builder().create()
        notify = self.notifier.notify

        def send_and_tell(message: bytes) -> None:
            send(message)
            notify()

        return send_and_tell

    def listen(self) -> None:
        self.service_there = self._messages()
        self.port_there = self.service_there.subscriber_builder().create()
        if not self.spinning:
            self.event_there = self._event()
            self.listener = self.event_there.listener_builder().create()

    def receiver(self) -> Receive:
        if not hasattr(self, "port_there"):
            self.listen()
        look, string_at, size = self.port_there.receive, ctypes.string_at, self.size

        if self.spinning:

            def receive() -> bytes:
                while (sample := look()) is None:
                    pass
                return string_at(sample.payload_ptr, size)

            return receive
        wait = self.listener.blocking_wait

        def receive_asleep() -> bytes:
            while (sample := look()) is None:
                wait()
            return string_at(sample.payload_ptr, size)

        return receive_asleep

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in Path("/dev/shm").glob(f"{self.name}_*"):
            path.unlink(missing_ok=True)
