"""The command ``isthmus``.

Exit codes: 0 done; 1 it could not be done, a message on standard error says why; 2 wrong
usage; 3 it did not come in time; 130 ended by Ctrl-C; 128 + n ended by signal n.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_NEEDED = ("click", "rich", "numpy")


def main() -> NoReturn:
    """Run the command with the arguments of this process, and end the process."""
    import sys
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"isthmus: the command needs {' and '.join(missing)}, not installed here: "
            "pip install 'isthmus[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    try:
        from isthmus.cli.app import run

        code = run()
    except KeyboardInterrupt:
        # While still loading; run() has a message for later.
        code = 130
    sys.exit(code)
