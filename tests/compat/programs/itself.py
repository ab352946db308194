"""Say all that a program may know about how it was started, and end with a status of its own."""

import json
import os
import sys

facts = {
    "argv": sys.argv,
    "stdin": sys.stdin.read(),
    "name": __name__,
    "path": sys.path,
    "flags": str(sys.flags),
    "executable": sys.executable,
    "sitecustomize": getattr(sys.modules.get("sitecustomize"), "MARK", None),
    "mode": os.environ.get("ISTHMUS_COMPAT"),
}
print(json.dumps(facts))
sys.exit(7)
