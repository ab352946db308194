"""A semaphore, a message queue and memory between a process and its child."""

import mmap
import os
import sys

import posix_ipc


def main(name):
    semaphore = posix_ipc.Semaphore(name, posix_ipc.O_CREX, initial_value=0)
    queue = posix_ipc.MessageQueue(name, posix_ipc.O_CREX)
    memory = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, size=4096)
    with mmap.mmap(memory.fd, memory.size) as view:
        child = os.fork()
        if child == 0:
            view[:3] = b"abc"
            posix_ipc.Semaphore(name).release()
            posix_ipc.MessageQueue(name).send(b"message", priority=3)
            os._exit(0)
        semaphore.acquire(30)
        print(view[:3], queue.receive(30))
        print(os.waitpid(child, 0)[1], semaphore.value, queue.current_messages)
    memory.close_fd()
    queue.close()
    for thing in (semaphore, queue, memory):
        thing.unlink()
    try:
        posix_ipc.Semaphore(name)
    except posix_ipc.ExistentialError:
        print("gone")


if __name__ == "__main__":
    main(sys.argv[1])
