"""The metrics for prometheus_client, the official client library of Prometheus."""

from __future__ import annotations

from isthmus.errors import UnsupportedError
from isthmus.inspect import _metrics
from isthmus.inspect._metrics import Metric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric as Family


class Collector:
    """Gives a registry of prometheus_client the numbers of all objects, at each scrape.

    ``prometheus_client.REGISTRY.register(isthmus.inspect.Collector())`` adds them to what a program
    exports already. Needs the extra ``metrics``: raises `UnsupportedError` where prometheus_client
    is not installed. Holds nothing open between two scrapes, and may be used by several threads.

    Args:
        foreign: also how many objects of other libraries there are, and how large.
        subscribers: also lag and missed messages of each subscriber, by its pid.
    """

    def __init__(self, *, foreign: bool = True, subscribers: bool = True) -> None:
        try:
            import prometheus_client  # noqa: F401
        except ImportError:
            raise UnsupportedError(
                "prometheus_client is not installed here: pip install 'isthmus[metrics]'"
            ) from None
        self._foreign = foreign
        self._subscribers = subscribers

    def collect(self) -> Iterator[Family]:
        """What there is now; called at each scrape."""
        for metric in _metrics.metrics(foreign=self._foreign, subscribers=self._subscribers):
            yield family(metric)

    def describe(self) -> Iterator[Family]:
        """The names that it may use, so that another of the same is refused; looks at nothing."""
        for metric in _metrics.known():
            yield family(metric)


def family(metric: Metric) -> Family:
    """A metric as prometheus_client has it."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    names = tuple(metric.samples[0].labels) if metric.samples else ()
    if metric.type == "info":
        info = InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)
        for sample in metric.samples:
            info.add_metric((), dict(sample.labels))
        return info
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    made = kind(metric.name.removesuffix("_total"), metric.help, labels=names, unit=metric.unit)
    for sample in metric.samples:
        made.add_metric(tuple(sample.labels[name] for name in names), sample.value)
    return made
