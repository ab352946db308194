"""Work is done by a process, through two queues."""

import multiprocessing

import faster_fifo
import faster_fifo_reduction  # noqa: F401


def work(jobs, results):
    while True:
        for job in jobs.get_many():
            if job is None:
                return
            results.put(job * job)


def main():
    jobs, results = faster_fifo.Queue(10_000), faster_fifo.Queue(max_size_bytes=10_000)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=work, args=(jobs, results))
    process.start()
    jobs.put_many([*range(100), None])
    print(sum(results.get() for _ in range(100)))
    process.join()


if __name__ == "__main__":
    main()
