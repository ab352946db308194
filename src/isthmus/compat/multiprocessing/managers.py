"""The same as `isthmus.compat.managers`."""

import sys

from isthmus.compat import managers

# One module under two names, as whoever imports the one expects of the other.
sys.modules[__name__] = managers
