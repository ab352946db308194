"""Wait for Ctrl-C."""

import signal

print("ready", flush=True)
signal.pause()
