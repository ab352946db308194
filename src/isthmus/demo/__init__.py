"""The main job, shown: the classic sample, then a real transfer between processes.

`sample` is the classic sample. `supervisor` runs a transfer: it starts `producer`, `consumer`
(one or several) and `monitor`, each a process of its own, that meet in the queues and topics of
`meeting`; `tally` puts together what they report. `comparison` runs the same transfer through a
queue, a topic, a pipe and a file. `report` tells what happens. `isthmus demo` is all of it.

Uses nothing but what every user of isthmus has: Queue, Publisher, Subscriber, Segment, wait.
"""
