"""A block and a list of shared memory, filled by a process."""

import multiprocessing
import sys
from multiprocessing import shared_memory
from multiprocessing.managers import SharedMemoryManager


def fill(name, items):
    block = shared_memory.SharedMemory(name)
    block.buf[:5] = b"hello"
    block.close()
    items[1] = "other"


def main(method):
    context = multiprocessing.get_context(method)
    block = shared_memory.SharedMemory(create=True, size=100)
    with SharedMemoryManager(ctx=context) as manager:
        items = manager.ShareableList([1, "some text", None])
        process = context.Process(target=fill, args=(block.name, items))
        process.start()
        process.join()
        print(bytes(block.buf[:5]), list(items), process.exitcode)
    block.close()
    block.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
