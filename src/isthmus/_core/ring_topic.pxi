# What is to be known of a topic.

cdef class Topic(Ring):
    """A topic, to be looked at."""

    def _numbers(self):
        return topic_numbers(self)


cdef tuple topic_numbers(Ring ring):
    cdef isthmus_topic_state state
    ring.enter()
    cdef int result = isthmus_topic_read_state(ring.core, &state)
    ring.leave()
    if result < 0:
        raise ring.failed(result)
    return (state.published, state.kept, state.tail - state.oldest, state.subscribers,
            state.publishers, state.evicted)
