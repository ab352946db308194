"""``isthmus metrics``: its forms of output, and the server as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import isthmus
from isthmus.cli import metrics as module
from isthmus.cli.app import app

PATIENCE = 60.0


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["metrics", *arguments])


def test_people_get_a_table_and_programs_json(name: str) -> None:
    with isthmus.Queue(name, capacity="64 KiB") as queue:
        queue.put(1)
        table, told = run("--no-foreign").output, run("--json").output
    rows = [line.split() for line in table.splitlines()]
    assert ["isthmus_queue_put_total", name, "kind=queue", "1"] in rows
    assert ["isthmus_queue_capacity_bytes", name, "kind=queue", "64.0", "KiB"] in rows
    found = {one["name"]: one for one in json.loads(told)}
    put = found["isthmus_queue_put_total"]
    assert (put["type"], put["unit"]) == ("counter", "")
    assert {"labels": {"name": name, "kind": "queue"}, "value": 1.0} in put["samples"]


def test_the_text_is_openmetrics_to_its_end(name: str) -> None:
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    with isthmus.Queue(name):
        text = run("--prometheus").output
    assert text.endswith("# EOF\n")
    families = {one.name: one for one in parser.text_string_to_metric_families(text)}
    put = families["isthmus_queue_put"].samples
    assert name in [one.labels["name"] for one in put]


def test_a_file_is_written_whole_in_the_format_of_the_node_exporter(
    name: str, tmp_path: Path
) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    target = tmp_path / "isthmus.prom"
    target.write_text("old")
    with isthmus.Queue(name):
        done = run("--output", str(target))
    assert (done.exit_code, done.output) == (0, "")
    text = target.read_text()
    # In this format, counters have their whole name, and there are no infos, units, or end.
    assert "# TYPE isthmus_queue_put_total counter\n" in text
    assert "# TYPE isthmus_object_info gauge\n" in text
    assert "# EOF" not in text
    assert "# UNIT" not in text
    assert text.endswith("\n")
    families = {one.name: one for one in parser.text_string_to_metric_families(text)}
    assert name in [one.labels["name"] for one in families["isthmus_queue_put"].samples]
    assert [one.name for one in tmp_path.iterdir()] == ["isthmus.prom"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    done = run("--output", str(tmp_path / "nowhere" / "x.prom"))
    assert done.exit_code == 1
    assert done.output.endswith("nowhere/x.prom: No such file or directory\n")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_plain_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "x.prom"
    os.mkfifo(pipe)
    for odd in (str(pipe), str(tmp_path), ""):
        done = run("--output", odd)
        assert (done.exit_code, "not a plain file" in done.output) == (1, True)
    assert pipe.is_fifo()
    link.symlink_to(target)
    assert run("--output", str(link)).exit_code == 0
    assert link.is_symlink()
    assert target.read_text().startswith("# HELP")


def test_only_one_form_at_a_time_and_places_that_make_sense() -> None:
    assert "one of them" in run("--json", "--prometheus").output
    for place in ("", "host", "host:", ":9", "1:65536", "::1:9", "[::1]", "-1", "²"):
        assert run("--listen", place).exit_code == 2, place
    convert = module.Place().convert
    assert convert("9101", None, None) == ("127.0.0.1", 9101)
    assert convert("0.0.0.0:0", None, None) == ("0.0.0.0", 0)
    assert convert("[::1]:9101", None, None) == ("::1", 9101)


def test_without_the_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    for arguments in (["--prometheus"], ["--listen", "0"], ["--output", "x"]):
        done = run(*arguments)
        assert done.exit_code == 1
        assert "isthmus[metrics]" in done.output
    assert run().exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_the_server_looks_anew_at_each_request_and_ends_when_told(
    number: signal.Signals, code: int, name: str
) -> None:
    pytest.importorskip("prometheus_client")
    command = [sys.executable, "-P", "-m", "isthmus", "metrics", "--listen", "0", "--no-foreign"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[0]
            assert address.startswith("http://127.0.0.1:")
            with isthmus.Queue(name) as queue:
                for count in (0, 1):
                    with urllib.request.urlopen(address, timeout=PATIENCE) as reply:
                        text = reply.read().decode()
                    assert (
                        f'isthmus_queue_put_total{{kind="queue",name="{name}"}} {count}.0' in text
                    )
                    queue.put(count)
            # A client that goes without a word, with a reset.
            host, _, port = address.split("/")[2].partition(":")
            with socket.create_connection((host, int(port))) as rude:
                rude.sendall(b"GET /metrics HTTP/1.1\r\n")
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Where it listens already, nobody else can.
            twin = run("--listen", address.split("/")[2])
            assert twin.exit_code == 1
            assert "cannot listen" in twin.output
            server.send_signal(number)
            _, errors = server.communicate(timeout=PATIENCE)
        finally:
            server.kill()
    assert server.returncode == code
    assert "Traceback" not in errors
