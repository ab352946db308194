"""``isthmus metrics``."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from typing import Any

import click

from isthmus import inspect
from isthmus.cli import output
from isthmus.cli.output import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from isthmus.inspect import Metric

    PlaceType = click.ParamType[tuple[str, int]]
else:
    # Generic for click's stubs since 8.2, not for every version of click itself.
    PlaceType = click.ParamType

_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535
# Seconds that a client may take to ask, or to read the answer on.
_PATIENCE = 30
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Place(PlaceType):
    """Where to listen: ``9101``, ``host:9101``, ``[::1]:9101``."""

    name = "place"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, colon, port = value.rpartition(":")
        if not (port.isascii() and port.isdecimal() and int(port) <= _LAST_PORT):
            self.fail(f"{value!r} does not end in a port, 0 to {_LAST_PORT}", param, ctx)
        bare = host.removeprefix("[").removesuffix("]")
        if colon and not bare:
            self.fail(f"{value!r} has no host; for all addresses, 0.0.0.0 or [::]", param, ctx)
        if ":" in bare and bare == host:
            self.fail(f"{value!r}: an IPv6 address is written in brackets, [::1]:9101", param, ctx)
        return bare or _LOOPBACK, int(port)


@click.command(
    "metrics",
    epilog="Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 130 ended by Ctrl-C, 143 by "
    "SIGTERM.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a list of metrics.")
@click.option("--prometheus", is_flag=True, help="Write the text format of OpenMetrics.")
@click.option(
    "--output",
    "path",
    metavar="FILE",
    help="Write the text format of Prometheus into this file, whole or not at all: for the "
    "textfile collector of the node exporter, which reads files whose names end in .prom.",
)
@click.option(
    "--listen",
    type=Place(),
    metavar="[HOST:]PORT",
    help="Serve them by HTTP, looking anew at each request, until ended.  [default host: "
    f"{_LOOPBACK}]",
)
@click.option(
    "--foreign/--no-foreign",
    default=True,
    help="Whether to count objects of other libraries, too.  [default: foreign]",
)
@click.option(
    "--subscribers/--no-subscribers",
    default=True,
    help="Whether to tell the lag of each subscriber, by pid.  [default: subscribers]",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    as_json: bool,
    prometheus: bool,
    path: str | None,
    listen: tuple[str, int] | None,
    foreign: bool,
    subscribers: bool,
) -> None:
    """Give the numbers of all objects to a monitoring system.

    Without an option, a table for people. The text formats and the server are those of
    prometheus_client, the official client library: pip install 'isthmus[metrics]'.

    \b
    Examples:
        isthmus metrics
        isthmus metrics --prometheus
        isthmus metrics --output /var/lib/node_exporter/isthmus.prom      from cron, or a timer
        isthmus metrics --listen 9101                                     let Prometheus scrape it
    """
    given = [as_json, prometheus, path is not None, listen is not None]
    if sum(given) > 1:
        raise click.UsageError("--json, --prometheus, --output and --listen: one of them", ctx)
    if not any(given[1:]):
        found = inspect.metrics(foreign=foreign, subscribers=subscribers)
        if as_json:
            output.print_json(found)
        else:
            _show(found)
        return
    registry = _registry(foreign, subscribers)
    if prometheus:
        from prometheus_client.openmetrics import exposition

        # Without types in some versions of the library.
        generate: Any = exposition.generate_latest
        click.echo(generate(registry), nl=False)
    elif path is not None:
        _write(registry, path)
    elif listen is not None:
        _serve(registry, *listen)


def _registry(foreign: bool, subscribers: bool) -> CollectorRegistry:
    if find_spec("prometheus_client") is None:
        raise click.ClickException(
            "this needs prometheus_client, not installed here: pip install 'isthmus[metrics]'"
        )
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry(auto_describe=True)
    registry.register(inspect.Collector(foreign=foreign, subscribers=subscribers))
    return registry


def _write(registry: CollectorRegistry, path: str) -> None:
    from prometheus_client import write_to_textfile

    # Where a link leads to: the link itself stays.
    place = os.path.realpath(path)
    if not path or (os.path.lexists(place) and not os.path.isfile(place)):
        # What took its place would be a plain file: fatal to /dev/null, if root asks for it.
        raise click.ClickException(
            f"{output.safe(path)!r} is not a plain file; --prometheus writes to standard output"
        )
    try:
        write_to_textfile(place, registry)
    except OSError as error:
        raise click.ClickException(
            f"cannot write {output.safe(path)}: {error.strerror or error}"
        ) from None


def _serve(registry: CollectorRegistry, host: str, port: int) -> None:
    """Until a signal ends this process, by an exception: Ctrl-C, SIGTERM, SIGHUP."""
    from prometheus_client import start_http_server

    # Not to its threads, which would not wake this one up; what they start has the same mask.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}, port {port}: {error.strerror or error}"
        ) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _be_patient(server)
    where = f"[{host}]" if ":" in host else host
    click.echo(f"http://{where}:{server.server_port}/metrics (Ctrl-C ends)")
    # Nothing to put away after that: its threads are daemons, and the socket goes with the process.
    thread.join()


def _be_patient(server: Any) -> None:
    """Not for ever with a client that says nothing; one that is gone already is no news."""
    server.RequestHandlerClass.timeout = _PATIENCE
    tell = server.handle_error

    def handle_error(request: Any, client: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            tell(request, client)

    server.handle_error = handle_error


def _show(found: list[Metric]) -> None:
    columns = [Column("METRIC"), Column("OF", shrinks=True), Column("VALUE", "right")]
    rows = [
        (metric.name, _labels(sample.labels), _value(metric, sample.value))
        for metric in found
        for sample in metric.samples
    ]
    output.table(output.console(), columns, rows)


def _labels(labels: Any) -> str:
    """Names first, as they are; the kind stands in the metric, or beside it."""
    return " ".join(
        said if label == "name" else f"{label}={said}" for label, said in labels.items()
    )


def _value(metric: Metric, value: float) -> str:
    if metric.unit == "seconds" and not metric.name.endswith("_timestamp_seconds"):
        return output.duration_text(value) if value else "0 s"
    if metric.unit == "bytes":
        return output.size_text(int(value))
    return str(int(value)) if value == int(value) else f"{value:.3f}"
