"""``isthmus dump``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.padding import Padding
from rich.text import Text

from isthmus import inspect
from isthmus.cli import hexdump, output
from isthmus.cli.output import Column, safe, size_text
from isthmus.cli.parameters import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rich.console import Console

    from isthmus.inspect import Dump, Field, Message, Part

    RecordsType = click.ParamType[int]
    StartType = click.ParamType[str | int]
    RangeType = click.ParamType[tuple[int, int] | str]
else:
    # As in isthmus.cli.parameters.
    RecordsType = StartType = RangeType = click.ParamType

_SECTIONS = ("file", "header", "control", "participants", "records", "bytes", "problems")
# Of a segment that nobody knows the inside of, and of a payload, so much is shown.
_SOME = 256
_HEXADECIMAL = frozenset(["magic", "fingerprint", "word", "guard", "producer", "consumer"])
# Said elsewhere, where all is well: shown with --full.
_USUAL = frozenset(["magic", "version", "kind", "fingerprint"])
# Said in any case, though the number says all, or is zero.
_ALWAYS = frozenset(["creator_pid", "creator_uid", "shape", "dtype", "word", "value", "round"])


class _Records(RecordsType):
    name = "N"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if value == "all":
            return -1
        if str(value).isascii() and str(value).isdigit():
            return int(value)
        return self.fail(f"{value!r} is neither a number nor all", param, ctx)


class _Start(StartType):
    name = "START"

    def convert(self, value: Any, param: Any, ctx: Any) -> str | int:
        if value in ("oldest", "newest"):
            return str(value)
        if str(value).isascii() and str(value).isdigit():
            return int(value)
        return self.fail(f"{value!r} is not oldest, newest or the number of a message", param, ctx)


class _Range(RangeType):
    """``0x100-0x200``, ``256+64``, or a region as ``isthmus info --map`` has them."""

    name = "RANGE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int] | str:
        for sign in "-+":
            first, found, second = str(value).partition(sign)
            try:
                start, end = int(first, 0), int(second, 0)
            except ValueError:
                continue
            if found and start >= 0 and end >= 0:
                return start, start + end if sign == "+" else end
        if str(value)[:1].isdigit():
            self.fail(f"{value!r} is no range: give START-END or START+SIZE", param, ctx)
        return str(value)


@click.command(
    "dump",
    epilog="Exit codes: 0 done, also when damage was found; 1 there is no such object or message, "
    "or it may not be read; 2 wrong usage.",
)
@click.argument("name", type=ObjectName(), metavar="NAME")
@click.option(
    "--records", "-n", type=_Records(), default=10, show_default=True, metavar="N|all",
    help="How many messages of a queue or topic.",
)  # fmt: skip
@click.option(
    "--start", type=_Start(), default="newest", show_default=True, metavar="START",
    help="Which ones: newest, oldest, or the number of the message to begin with.",
)  # fmt: skip
@click.option(
    "--section", "sections", multiple=True, type=click.Choice(_SECTIONS),
    help="Only this; may be given several times.",
)  # fmt: skip
@click.option("--hex", "with_hex", is_flag=True, help="Also the bytes of messages; of a segment.")
@click.option(
    "--bytes", "bytes_of", type=_Range(), metavar="RANGE",
    help="Also these bytes of the file: START-END, START+SIZE, or a region that "
    "`isthmus info --map` names, such as header or cursors.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="Every field, and all bytes of messages.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option(
    "--output", "file", type=click.Path(dir_okay=False, allow_dash=True), metavar="FILE",
    help="Write nothing but the payload of the message --start NUMBER into this file, as it lies "
    "there; - is the standard output.",
)  # fmt: skip
def command(
    name: str,
    records: int,
    start: Any,
    sections: tuple[str, ...],
    with_hex: bool,
    bytes_of: tuple[int, int] | str | None,
    full: bool,
    as_json: bool,
    file: str | None,
) -> None:
    """Show what is in an object: header, control block, participants, messages.

    Each field with what it says; messages decoded, with a preview. Nobody who uses the object can
    tell, and nothing is taken out. Pickles are not loaded: what they refer to is shown. Of an
    object that is damaged, everything is shown that can still be read, and what is wrong with it.
    Of the memory of others: size, holes, bytes, the values of semaphores.

    \b
    Examples:
        isthmus dump jobs
        isthmus dump jobs --records all --start oldest
        isthmus dump jobs --start 4711 -n 1 --hex
        isthmus dump jobs --start 4711 --output message.bin
        isthmus dump camera/front --section control --full
        isthmus dump posix:psm_1a2b3c4d --bytes 0x1000+256
    """
    if file is not None:
        if not isinstance(start, int):
            raise click.UsageError("--output needs the number of a message: --start NUMBER")
        _write(file, inspect.payload(name, start))
        return
    where = inspect.Address.parse(name)
    if bytes_of is None and (where.family == "posix" or (with_hex and where.kind == "segment")):
        bytes_of = (0, 1 << 62 if full else _SOME)
    out = output.console()
    found = inspect.dump(
        where,
        records=None if records < 0 else records,
        start=start,
        bytes_of=bytes_of,
        payload=(1 << 62 if full else _SOME) if with_hex else 0,
        width=max(40, min(200, out.width - 45)) if out.is_terminal else 200,
    )
    chosen = sections or _SECTIONS
    if as_json:
        output.print_json(_for_programs(found, chosen, with_hex))
        return
    _Shown(out, found, chosen, with_hex, full).show()
    if not sections and out.is_terminal:
        _hints(out, found, full, with_hex)


def _write(file: str, data: bytes) -> None:
    if file == "-":
        sys.stdout.buffer.write(data)
    else:
        Path(file).write_bytes(data)


def _for_programs(found: Dump, chosen: Iterable[str], with_hex: bool) -> dict[str, Any]:
    """Bytes as hexadecimal, since JSON has none."""
    made: dict[str, Any] = inspect.to_dict(found)
    for key, originals in (("messages", found.messages), ("aside", found.aside)):
        for one, original in zip(made[key], originals, strict=True):
            one.pop("payload")
            if with_hex:
                one["payload_hex"] = original.payload.hex()
    for one, piece in zip(made["pieces"], found.pieces, strict=True):
        one["data"] = None if piece.data is None else piece.data.hex()
    made["parts"] = [part for part in made["parts"] if part["section"] in chosen]
    if "records" not in chosen:
        made["messages"] = made["aside"] = []
    return made


class _Shown:
    """One dump, written for people."""

    def __init__(
        self, out: Console, found: Dump, chosen: Iterable[str], with_hex: bool, full: bool
    ) -> None:
        self.out, self.found, self.chosen = out, found, chosen
        self.with_hex, self.full = with_hex, full

    def show(self) -> None:
        found = self.found
        self.out.print(Text(f"{found.kind} ", style="dim") + Text(safe(found.name), style="bold"))
        if "file" in self.chosen:
            self._file()
        for section in ("header", "control"):
            if section in self.chosen:
                for part in found.parts:
                    if part.section == section:
                        self._part(part)
        if "participants" in self.chosen:
            self._participants()
        if "records" in self.chosen:
            self._records()
        if "bytes" in self.chosen and found.pieces:
            self._heading("Bytes")
            for line in hexdump.of_pieces(found.pieces):
                self._line(line)
        if "problems" in self.chosen and found.problems:
            self._heading("Problems")
            for problem in found.problems:
                self.out.print(
                    Padding(Text(safe(problem), style="red"), (0, 0, 0, 2), expand=False)
                )

    def _heading(self, title: str, note: str = "") -> None:
        self.out.print()
        self.out.print(Text(title, style="bold") + Text(note, style="dim"))

    def _line(self, text: str) -> None:
        self.out.print(Text("  " + safe(text)), soft_wrap=True)

    def _file(self) -> None:
        found = self.found
        if found.path is not None:
            self._line(f"file     {found.path}")
        if found.size:
            written = sum(end - start for start, end in found.extents)
            holes = f", of which {size_text(written)} were ever written" if found.path else ""
            self._line(f"size     {size_text(found.size)} ({found.size} bytes){holes}")
        if self.full and found.path is not None:
            spans = ", ".join(f"{start}-{end}" for start, end in found.extents)
            self._line(f"written  {spans or 'nothing'}")

    # ---- Structs -----------------------------------------------------------------------

    def _part(self, part: Part) -> None:
        every = self.full or self.found.kind in ("semaphore", "semaphores")
        shown = [one for one in part.fields if every or one.wrong or _telling(one)]
        if not shown:
            return
        self._heading(part.title.capitalize(), f"  from byte {part.offset}")
        width = max(len(one.name) for one in shown)
        for one in shown:
            text = Text("  ")
            if self.full:
                text += Text(f"{one.offset:>8}  ", style="dim")
            value = _value(one)
            gap = "  " if one.meaning and value else ""
            text += Text(f"{one.name:<{width}}  ", style="dim") + Text(safe(value + gap))
            text += Text(safe(one.meaning), style="red" if one.wrong else "dim")
            self.out.print(text, soft_wrap=True)

    def _participants(self) -> None:
        parts = [one for one in self.found.parts if one.section == "participants"]
        if not parts:
            return
        if self.full:
            for part in parts:
                self._part(part)
            return
        self._heading("Participants")
        rows: dict[int, list[str]] = {}
        for part in parts:
            kind, _, rest = part.title.partition(" ")
            slot, _, state = rest.partition(", ")
            fields = {one.name: one for one in part.fields}
            if kind == "slot":
                rows[int(slot)] = [slot, str(fields["pid"].value), state or "alive",
                                   fields["joined_ns"].meaning.partition(", ")[2],
                                   str(fields["share"].value), str(fields["waiting"].value), "",
                                   ""]  # fmt: skip
            elif int(slot) in rows:
                cursor = fields.get("cursor")
                rows[int(slot)][6:] = [fields["role"].meaning, str(cursor.value) if cursor else ""]
        columns = [Column("SLOT", "right"), Column("PID", "right"), Column("STATE"),
                   Column("JOINED"), Column("SHARE", "right"), Column("WAITING", "right"),
                   Column("ROLE"), Column("CURSOR", "right")]  # fmt: skip
        used = [i for i in range(len(columns)) if i < 6 or any(row[i] for row in rows.values())]
        cells = [[row[i] for i in used] for row in rows.values()]
        output.table(self.out, [columns[i] for i in used], cells)

    # ---- Messages ----------------------------------------------------------------------

    def _records(self) -> None:
        found = self.found
        if found.elements is not None:
            self._heading("Elements")
            self._line(found.elements)
        if found.kind in ("queue", "topic") or found.messages:
            total = "" if found.kept is None else f" of {found.kept}"
            self._heading("Messages", f"  {len(found.messages)}{total}")
            self._messages(found.messages)
        if found.aside:
            self._heading("Set aside", "  delivered too often")
            self._messages(found.aside)

    def _messages(self, messages: tuple[Message, ...]) -> None:
        if not messages:
            return
        columns = [Column("NUMBER", "right"), Column("TYPE"), Column("SIZE", "right"),
                   Column("STATE"), Column("PREVIEW", shrinks=True)]  # fmt: skip
        if self.full:
            columns[1:1] = [Column("POSITION", "right"), Column("TRIES", "right")]
        output.table(self.out, columns, [self._row(one) for one in messages])
        if self.with_hex:
            for one in messages:
                if one.payload:
                    self._heading(f"Message {one.record.number}")
                    for line in hexdump.lines(one.payload):
                        self._line(line)
                    if len(one.payload) < one.record.size:
                        self._line(f"… {one.record.size - len(one.payload)} bytes more: --full")

    def _row(self, one: Message) -> list[str | Text]:
        record = one.record
        state = record.state
        if record.worker is not None:
            state = f"slot {record.worker}"  # type: ignore[assignment]
        sound = record.sound and record.problem is None and not one.overwritten
        preview = one.preview
        if record.sound and record.problem is not None:
            preview += f" ({record.problem})"
        row: list[str | Text] = [
            str(record.number) if record.sound else "?",
            one.type,
            size_text(record.size) if record.sound else "",
            state,
            Text(safe(preview), style="" if sound else "red"),
        ]
        if self.full:
            row[1:1] = [str(record.position), str(record.attempts)]
        return row


def _telling(field: Field) -> bool:
    """Whether it is worth a line: it says something, and is not as it nearly always is."""
    if field.name in _USUAL:
        return False
    return field.name in _ALWAYS or bool(field.meaning and field.value != 0)


def _value(field: Field) -> str:
    if isinstance(field.value, int) and field.name in _HEXADECIMAL:
        return f"{field.value:#x}"
    if isinstance(field.value, tuple):
        shown = ", ".join(map(str, field.value[:12]))
        return f"[{shown}{', …' if len(field.value) > 12 else ''}]"
    return str(field.value)


def _hints(out: Console, found: Dump, full: bool, with_hex: bool) -> None:
    hints = []
    if found.kept is not None and found.kept > len(found.messages):
        hints.append("--records all: all messages; --start NUMBER: from that one on")
    if not full and found.path is not None and found.parts:
        hints.append("--full: every field")
    if found.kind == "segment" and not found.pieces:
        hints.append("--hex: its first bytes, for which it is attached for a moment")
    if found.messages and not with_hex:
        hints.append("--hex: the bytes of messages")
    if found.kind == "object":
        hints.append("--bytes 0+256: its first bytes")
    if hints:
        out.print()
        out.print(Text("More: " + "; ".join(hints), style="dim"))
