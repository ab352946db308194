"""The module of faster-fifo that old programs import so that queues can be pickled.

There is nothing in it, here as in faster-fifo since 1.4.3: queues take care of that themselves.
"""
