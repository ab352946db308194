"""A semaphore, a message queue and memory between a process and its child."""

import os

import sysv_ipc


def main():
    semaphore = sysv_ipc.Semaphore(sysv_ipc.IPC_PRIVATE, sysv_ipc.IPC_CREX)
    queue = sysv_ipc.MessageQueue(sysv_ipc.IPC_PRIVATE, sysv_ipc.IPC_CREX)
    memory = sysv_ipc.SharedMemory(sysv_ipc.IPC_PRIVATE, sysv_ipc.IPC_CREX, size=4096)
    try:
        child = os.fork()
        if child == 0:
            memory.write(b"abc")
            semaphore.release()
            queue.send(b"message", type=3)
            os._exit(0)
        semaphore.acquire(30)
        print(memory.read(3), queue.receive(type=3))
        print(os.waitpid(child, 0)[1], semaphore.value, queue.current_messages)
    finally:
        memory.detach()
        for thing in (semaphore, queue, memory):
            thing.remove()


if __name__ == "__main__":
    main()
