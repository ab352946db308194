"""Everything of multiprocessing through which processes work together, in one program."""

import multiprocessing
import sys


def work(jobs, results, total, words, lock, started, pipe):
    with started:
        started.notify()
    while True:
        job = jobs.get()
        if job is None:
            break
        with lock:
            total.value += job
            words[0] = job
        results.put(job * 2)
        jobs.task_done()
    jobs.task_done()
    pipe.send(pipe.recv().upper())


def main(method):
    context = multiprocessing.get_context(method)
    jobs, results, lock = context.JoinableQueue(), context.Queue(), context.Lock()
    total, words, started = context.Value("i", 0), context.Array("i", 3), context.Condition()
    pipe, other = context.Pipe()
    process = context.Process(target=work, args=(jobs, results, total, words, lock, started, other))
    with started:
        process.start()
        print(started.wait(30))
    for job in range(50):
        jobs.put(job)
    jobs.put(None)
    jobs.join()
    pipe.send("text")
    print(total.value, list(words), sum(results.get() for _ in range(50)), pipe.recv())
    process.join()
    with context.Pool(2) as pool:
        print(pool.map(abs, range(-3, 3)), process.exitcode)


if __name__ == "__main__":
    main(sys.argv[1])
