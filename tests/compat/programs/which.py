"""Print which modules are imported by the names given, here and in processes of all kinds."""

import concurrent.futures
import importlib
import json
import multiprocessing
import subprocess
import sys


def report(names):
    return [importlib.import_module(name).__name__ for name in names]


def send(names, to):
    to.put(report(names))


def from_process(context, names):
    queue = context.SimpleQueue()
    process = context.Process(target=send, args=(names, queue))
    process.start()
    found = queue.get()
    process.join()
    return found


def main(names):
    found = {"here": report(names)}
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        found[method] = from_process(context, names)
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        found["pool"] = pool.submit(report, names).result()
    text = "import json, sys, which; print(json.dumps(which.report(sys.argv[1:])))"
    output = subprocess.check_output([sys.executable, "-c", text, *names], cwd=sys.path[0])
    found["script"] = json.loads(output)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
