# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False, always_allow_keywords=False
"""Waiting on file descriptors: doorbells, what is waited for, and the descriptor of a handle.

See src/core/doorbell.h for how it works and why no wake-up is lost.
"""

cimport cython
from libc.errno cimport EBADF
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

import os as _os
from weakref import WeakSet as _WeakSet


cdef extern from "isthmus/isthmus.h" nogil:
    struct isthmus_primitive:
        int fd


cdef extern from "wait.h" nogil:
    uint64_t ISTHMUS_SLICE_NS
    void isthmus_wait_list(const isthmus_primitive *primitive)
    void isthmus_wait_unlist(const isthmus_primitive *primitive)


cdef extern from "os.h" nogil:
    enum:
        ISTHMUS_OS_READY
        ISTHMUS_OS_ROOM
        ISTHMUS_OS_GONE
        ISTHMUS_OS_RUNG
    struct isthmus_os_doorbell:
        int poll
        int watch
        int timer
    struct isthmus_os_rung:
        int id
        uint32_t what
    int isthmus_os_doorbell_open(isthmus_os_doorbell *doorbell, int watch)
    void isthmus_os_doorbell_close(isthmus_os_doorbell *doorbell)
    int isthmus_os_doorbell_keep(isthmus_os_doorbell *doorbell)
    int isthmus_os_close(int fd)
    int isthmus_os_doorbell_watch(isthmus_os_doorbell *doorbell, int fd)
    int isthmus_os_doorbell_watch_writes(isthmus_os_doorbell *doorbell, int fd)
    void isthmus_os_doorbell_unwatch(isthmus_os_doorbell *doorbell, int id)
    void isthmus_os_doorbell_after(isthmus_os_doorbell *doorbell, uint64_t nanoseconds)
    int isthmus_os_doorbell_timer(isthmus_os_doorbell *doorbell)
    int isthmus_os_doorbell_read(isthmus_os_doorbell *doorbell, isthmus_os_rung *rung,
                                 unsigned room)


cdef extern from "readiness.h" nogil:
    enum isthmus_side:
        ISTHMUS_WAIT_READY
        ISTHMUS_WAIT_ROOM
        ISTHMUS_WAIT_END
        ISTHMUS_WAIT_WORD
        ISTHMUS_WAIT_TOKEN
        ISTHMUS_WAIT_ROUND
        ISTHMUS_WAIT_GATE
        ISTHMUS_WAIT_READERS
    enum isthmus_how:
        ISTHMUS_LOOK
        ISTHMUS_ARM
        ISTHMUS_ASK
    struct isthmus_waited:
        isthmus_primitive *primitive
        uint32_t side
        uint64_t about
        uint32_t seen
        int held
    int isthmus_look(isthmus_waited *thing, isthmus_how how)
    int isthmus_doorbell_arm(isthmus_waited *thing)
    bint isthmus_waits_for_room(const isthmus_waited *thing)


# What a doorbell has heard of a file, and what of a handle is waited for: see the core.
RUNG_READY = <int>ISTHMUS_OS_READY
RUNG_ROOM = <int>ISTHMUS_OS_ROOM
GONE = <int>ISTHMUS_OS_GONE
READY = <int>ISTHMUS_WAIT_READY
ROOM = <int>ISTHMUS_WAIT_ROOM
END = <int>ISTHMUS_WAIT_END
WORD = <int>ISTHMUS_WAIT_WORD
TOKEN = <int>ISTHMUS_WAIT_TOKEN
ROUND = <int>ISTHMUS_WAIT_ROUND
GATE = <int>ISTHMUS_WAIT_GATE
READERS = <int>ISTHMUS_WAIT_READERS

# Seconds after which to look again for one that has gone, at first; then twice as many each time.
# And after one has begun to watch.
FIRST_LOOK = 0.001
LATE_LOOK = 1.0
# Seconds between two looks of a doorbell that hears nothing.
SLICE = ISTHMUS_SLICE_NS / 1e9

cdef uint64_t FIRST_LOOK_NS = 1_000_000
cdef uint64_t LATE_LOOK_NS = 1_000_000_000
# No doubling beyond some centuries.
cdef uint64_t LAST_LOOK_NS = <uint64_t>1 << 62


# Of doorbells that are closed: to make one again is soon done, to close one is not.
cdef enum:
    SPARES = 4
cdef int spare[SPARES]
cdef int spares = 0


cdef int take_spare() noexcept:
    """One of them, or -1."""
    global spares
    cdef int watch = -1
    with cython.critical_section(_open):
        if spares:
            spares -= 1
            watch = spare[spares]
    return watch


cdef int leave_spare(int watch) noexcept:
    """-1: it is kept; else what is to be closed."""
    global spares
    if watch < 0:
        return -1
    with cython.critical_section(_open):
        if spares < SPARES:
            spare[spares] = watch
            spares += 1
            watch = -1
    return watch


@cython.no_gc_clear  # its files are to be known in the end
cdef class Doorbell:
    """A descriptor that polls as readable when something may have happened to what it watches.

    It takes three descriptors. In a child that was forked it is closed.
    """

    cdef isthmus_os_doorbell core
    cdef set files
    cdef object __weakref__

    def __cinit__(self):
        self.files = set()
        self.core.poll = self.core.watch = self.core.timer = -1
        cdef int watch = take_spare()
        cdef int error = isthmus_os_doorbell_open(&self.core, watch)
        if error < 0:
            if leave_spare(watch) >= 0:
                isthmus_os_close(watch)
            raise OSError(-error, _os.strerror(-error))
        _open.add(self)

    def __dealloc__(self):
        self.end()

    cdef void end(self) noexcept:
        cdef int number, watch
        if self.core.poll < 0:
            return
        for number in self.files:
            isthmus_os_doorbell_unwatch(&self.core, number)
        self.files.clear()
        watch = leave_spare(isthmus_os_doorbell_keep(&self.core))
        if watch >= 0:
            with nogil:
                isthmus_os_close(watch)

    cdef void forget(self) noexcept:
        """In a forked child: it goes on being its parent's."""
        isthmus_os_doorbell_close(&self.core)

    def fileno(self):
        """The descriptor; -1: closed."""
        return self.core.poll

    @property
    def closed(self):
        """Whether it has been closed."""
        return self.core.poll < 0

    @property
    def blind(self):
        """Whether the system gave it nothing to watch with; only its timer is left."""
        return self.core.watch < 0

    def watch(self, int fd):
        """Watch the file of this descriptor; the number of it, or -1: the system will not."""
        return self.known(isthmus_os_doorbell_watch(&self.core, fd))

    def watch_writes(self, int fd):
        """The same for a plain file that others write to; what they read of it is not heard."""
        return self.known(isthmus_os_doorbell_watch_writes(&self.core, fd))

    cdef object known(self, int number):
        if number == -EBADF:
            raise OSError(EBADF, _os.strerror(EBADF))
        if number < 0:
            return -1
        self.files.add(number)
        return number

    def unwatch(self, int number):
        """Watch that file no more."""
        self.files.discard(number)
        isthmus_os_doorbell_unwatch(&self.core, number)

    def heard(self):
        """[(file, what)]: what has happened since the last call. -1: to any of the files."""
        cdef isthmus_os_rung rung[ISTHMUS_OS_RUNG]
        cdef int count = isthmus_os_doorbell_read(&self.core, rung, ISTHMUS_OS_RUNG)
        cdef int i
        if count < 0:
            return [(-1, ISTHMUS_OS_READY | ISTHMUS_OS_ROOM | ISTHMUS_OS_GONE)]
        return [(rung[i].id, rung[i].what) for i in range(count)]

    def after(self, double seconds):
        """Be readable in so many seconds; 0: no more than by what happens."""
        cdef uint64_t wanted = LAST_LOOK_NS if seconds >= 4e9 else <uint64_t>(seconds * 1e9)
        isthmus_os_doorbell_after(&self.core, wanted)

    def time(self):
        """Whether that time has come; then it is over."""
        return isthmus_os_doorbell_timer(&self.core) > 0

    def close(self):
        """Close all that it consists of. May be called twice."""
        self.end()


cdef class Waited:
    """One thing that is waited for: `side` of a handle, which is what has `_borrow`.

    Each look raises nothing but what using a closed handle raises; what it finds wrong
    otherwise counts as ready, since the operation says it better.
    """

    cdef isthmus_waited core
    cdef readonly object handle
    cdef bint listed

    def __cinit__(self, handle, uint32_t side=ISTHMUS_WAIT_READY, uint64_t about=0):
        self.handle = handle
        self.core.side, self.core.about = side, about

    @property
    def for_room(self):
        """Whether it is rung for as RUNG_ROOM."""
        return isthmus_waits_for_room(&self.core)

    @property
    def side(self):
        """What of the handle."""
        return self.core.side

    @property
    def about(self):
        """What exactly: the bytes of a message, a ticket, a round."""
        return self.core.about

    @property
    def held(self):
        """Whether at the last look it was not ready, and others had what their deaths give."""
        return self.core.held != 0

    cdef bint look_as(self, isthmus_how how, bint arm) except -1:
        cdef uintptr_t address = self.handle._borrow()
        cdef int found
        self.core.primitive = <isthmus_primitive *>address
        found = isthmus_doorbell_arm(&self.core) if arm else isthmus_look(&self.core, how)
        self.handle._restore()
        return found != 0

    def list(self):
        """Tell people that somebody waits for it by this handle, until `unlist`."""
        cdef uintptr_t address = self.handle._borrow()
        isthmus_wait_list(<isthmus_primitive *>address)
        self.handle._restore()
        self.listed = True

    def unlist(self):
        """The wait is over; or the handle has been closed, and nobody sees that it waited."""
        if not self.listed:
            return
        self.listed = False
        cdef uintptr_t address
        try:
            address = self.handle._borrow()
        except ValueError:
            return
        isthmus_wait_unlist(<isthmus_primitive *>address)
        self.handle._restore()

    def look(self):
        """Whether it is ready."""
        return self.look_as(ISTHMUS_LOOK, False)

    def arm(self):
        """Be rung for from now on, and look."""
        return self.look_as(ISTHMUS_ARM, True)

    def ask(self):
        """Look, and also whether those live that have it."""
        return self.look_as(ISTHMUS_ASK, False)


cdef class Descriptor:
    """The descriptor of a handle: readable as long as `side` of it is ready.

    For the handle alone: it holds the handle's address, and is to go before it.

    sync: doorbell. Whenever no call is in `settle`, one of these holds: it is readable; or what is
    waited for was not there at a look after the doorbell was read empty and hung. So whoever
    makes it be there rings. It stays readable until an operation of this handle finds
    nothing, which settles; so it may be readable when another has been faster.
    """

    cdef Doorbell doorbell
    cdef isthmus_waited core
    cdef uint64_t patience  # nanoseconds until the next look for one that has gone
    cdef bint due           # it will be readable then
    cdef uint64_t turns     # how often it has listened
    cdef bint hears
    cdef bint told          # it is readable, or about to be, for what was found by a look

    def __cinit__(self, handle, uint32_t side):
        cdef uintptr_t address = handle._borrow()
        try:
            self.core.primitive = <isthmus_primitive *>address
            self.core.side = side
            self.begin(Doorbell())
        finally:
            handle._restore()

    cdef int begin(self, Doorbell doorbell) except -1:
        self.hears = doorbell.watch(self.core.primitive.fd) >= 0
        self.doorbell = doorbell
        self.patience = LATE_LOOK_NS
        self.told = False
        self.listen(True)
        return 0

    def open(self):
        """The descriptor; a new one if the last one was the parent's, before a fork.

        As for all that follow, the handle must not be closed meanwhile.
        """
        if self.doorbell.core.poll < 0:
            # This may run anything, and so another thread in here.
            new = Doorbell()
            with cython.critical_section(self):
                if self.doorbell.core.poll < 0:
                    self.begin(new)
        return self.doorbell.core.poll

    def close(self):
        """Close it; this may come after the end of the handle."""
        self.doorbell.close()

    def need(self, uint64_t size):
        """Of a side with room: for a message of so many bytes, the last one there was none for."""
        self.core.about = size

    def settle(self, bint again):
        """After an operation; `again`: after one that may have found nothing. Raises nothing.

        What has come between it and the look in here has rung nobody, as nothing was hung. The
        descriptor has been readable all along; those that are told of edges need another one.
        """
        with cython.critical_section(self):
            if self.doorbell.core.poll >= 0:
                self.core.seen = 0  # an event that was set, and has been cleared, is not set
                if isthmus_look(&self.core, ISTHMUS_LOOK) == 0:
                    self.listen(False)
                elif again:
                    self.told = True
                    isthmus_os_doorbell_after(&self.doorbell.core, 1)

    def tell(self):
        """Be readable until the next operation, which will not wait."""
        with cython.critical_section(self):
            self.told = True
            self.turns += 1  # whoever is at `listen` without the GIL is to leave it so
            isthmus_os_doorbell_after(&self.doorbell.core, 1)

    cdef void listen(self, bint ask) noexcept:
        """`ask`: whether those live that have it."""
        cdef isthmus_os_doorbell *bell = &self.doorbell.core
        cdef isthmus_waited thing
        cdef uint64_t turn = self.turns + 1
        cdef int found
        self.turns = turn
        if self.read_empty():
            self.patience = FIRST_LOOK_NS
            ask = True
        if self.told:
            self.told = False
            isthmus_os_doorbell_after(bell, 0)  # it may not have come to that yet
            self.due = False
            ask = True
        if isthmus_os_doorbell_timer(bell):
            self.due = False
            ask = True
        found = isthmus_doorbell_arm(&self.core)
        if found == 0 and ask and self.core.held:
            # This may wait for another thread of ours that is at it, and needs the GIL to go on.
            thing = self.core
            with nogil:
                found = isthmus_look(&thing, ISTHMUS_ASK)
        if found != 0:
            self.told = True
            isthmus_os_doorbell_after(bell, 1)  # readable at once
        elif self.told and self.turns != turn:
            pass  # by another thread, meanwhile: that must stay
        elif not self.hears:
            isthmus_os_doorbell_after(bell, ISTHMUS_SLICE_NS)
        elif self.core.held and (ask or not self.due):
            if not ask:
                # Not held before; by one that may be going already, of which no more will be told.
                self.patience = LATE_LOOK_NS
            isthmus_os_doorbell_after(bell, self.patience)
            self.due = True
            if self.patience < LAST_LOOK_NS:
                self.patience *= 2

    cdef bint read_empty(self) noexcept:
        """Read all that there is; whether it says that somebody has gone."""
        cdef isthmus_os_rung rung[ISTHMUS_OS_RUNG]
        cdef bint gone = False
        cdef int count = ISTHMUS_OS_RUNG
        cdef int i
        while count == ISTHMUS_OS_RUNG:
            count = isthmus_os_doorbell_read(&self.doorbell.core, rung, ISTHMUS_OS_RUNG)
            for i in range(count):
                if rung[i].what & ISTHMUS_OS_GONE:
                    gone = True
        return gone


_open = _WeakSet()


def before_fork():
    """Nothing: a child gets none of them."""


def after_fork(bint in_child):
    """In a child: they are its parent's, which would not hear what is read here."""
    if in_child:
        close_all()


def close_all():
    """Close whatever is open, here, and leave it as it is."""
    global spares
    for each in list(_open):
        (<Doorbell>each).forget()
    _open.clear()
    while spares:
        spares -= 1
        isthmus_os_close(spare[spares])
