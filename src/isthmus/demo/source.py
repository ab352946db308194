"""The file that is transferred: found, opened, checked, watched for change."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig

from isthmus.demo.errors import DemoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


def default_path() -> str:
    """A sizeable file that every machine has: the interpreter itself."""
    library = os.path.join(
        str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var("LDLIBRARY"))
    )
    candidates = [path for path in (library, sys.executable, os.__file__) if os.path.isfile(path)]
    return max(candidates, key=os.path.getsize)


class Source:
    """An open file to transfer. `size` is what it had when it was opened.

    Raises DemoError for what is no plain file, or cannot be read. The roles get the
    descriptor, so that all of them read this very file, whatever happens to its path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # Opening a FIFO for reading would wait for a writer.
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise DemoError(f"cannot read {path!r}: {error.strerror}", name=path) from None
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        self.size = os.fstat(self.fd).st_size
        self._seen = self._state()

    def _check(self) -> None:
        status = os.fstat(self.fd)
        if stat.S_ISDIR(status.st_mode):
            raise DemoError(f"{self.path!r} is a directory; give a file", name=self.path)
        if not stat.S_ISREG(status.st_mode):
            raise DemoError(
                f"{self.path!r} is not a plain file; copy what comes out of it into one",
                name=self.path,
            )
        try:
            first = os.pread(self.fd, 1, 0)
        except OSError as error:
            raise DemoError(
                f"cannot read {self.path!r}: {error.strerror}", name=self.path
            ) from None
        if first and not status.st_size:
            raise DemoError(
                f"{self.path!r} is made by the kernel while it is read and has no size; copy it "
                "into a plain file",
                name=self.path,
            )

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self.fd)
        return status.st_size, status.st_mtime_ns

    def change(self) -> str | None:
        """What has happened to the file since it was opened, or None."""
        size, written = self._state()
        if size != self._seen[0]:
            return f"it had {self._seen[0]} bytes, now it has {size}"
        return "it was written to" if written != self._seen[1] else None

    def close(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
