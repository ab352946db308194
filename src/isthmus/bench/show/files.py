"""The files of a benchmark."""

from __future__ import annotations

from pathlib import Path

from isthmus._files import check_file, check_folder, write
from isthmus.bench.results import Results
from isthmus.errors import ForeignError

__all__ = ["check_file", "check_folder", "read_results", "write"]


def read_results(path: str) -> Results:
    """The results in a file: OSError, or a FormatError that names the file."""
    try:
        text = Path(path).read_text("utf-8-sig")  # some editors put a mark at the start
    except UnicodeDecodeError:
        raise ForeignError(
            f"{path} does not hold results of `isthmus bench --json` (not text)", name=path
        ) from None
    return Results.from_json(text, path)
