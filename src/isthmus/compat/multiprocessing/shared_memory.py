"""The same as `isthmus.compat.shared_memory`."""

import sys

from isthmus.compat import shared_memory

# One module under two names, as whoever imports the one expects of the other.
sys.modules[__name__] = shared_memory
