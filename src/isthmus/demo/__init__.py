"""The main job, shown: the classic sample, then a real transfer between processes.

`sample` is the classic sample. `supervisor` runs a transfer: it starts `producer`,
`consumer` and `monitor`, each a process of its own, that meet in the segment laid out by
`transfer` and take turns by two named semaphores. `comparison` runs the same transfer
through a pipe and a file. `report` tells what happens. `isthmus demo` is all of it.

Uses nothing but what every user of isthmus has: `isthmus.Segment` and `isthmus.posix`.
"""
