"""The figures of a study as Prometheus scrapes them, computed anew at each scrape."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

from autolora.errors import AutoloraError, MissingExtra, TokenNeeded
from autolora.plots.guard import guarded, is_loopback
from autolora.plots.serve import address, opened, until_interrupted
from autolora.study.gauges import METRICS, STUDY, Metric
from autolora.study.register import now
from autolora.study.retry import once
from autolora.study.seen import seen
from autolora.study.status import Status, status_of
from autolora.study.store import Store

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

_VARIABLE = "AUTOLORA_METRICS_TOKEN"


def serve(store: Store, *, host: str, port: int, token: str | None, as_json: bool = False) -> None:
    """Serves the metrics of a study until it is interrupted; says where.

    Raises:
        MissingExtra: if prometheus-client is not installed.
        TokenNeeded: if others than this machine could reach it and there is no token.
        CannotServe: if the port is taken or the host is not this machine's.
    """
    with listen(store, host=host, port=port, token=token) as server:
        until_interrupted(server, "metrics", f"{address(server)}metrics", as_json=as_json)


def listen(store: Store, *, host: str, port: int, token: str | None) -> WSGIServer:
    """A server that holds its port and waits for `serve_forever()`; port 0 takes a free one."""
    if not token and not is_loopback(host):
        raise TokenNeeded(host, "metrics", _VARIABLE)
    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app
    except ImportError as error:
        raise MissingExtra("the metrics server", "prometheus-client", "metrics") from error
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(store))
    app: Any = make_wsgi_app(registry)
    return opened(guarded(app, token=token or None, writable=False), host, port, "the metrics")


class Collector:
    """The metrics of a study; without its database only that it does not answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list["Family"]:
        """Nothing: the database need not answer when the server starts."""
        return []

    def collect(self) -> Iterator["Family"]:
        """The families of metrics as they are now."""
        try:
            with once():
                found = status_of(seen(self._store), now(self._store))
        except AutoloraError:
            yield family(METRICS[0], [((self._store.name,), 0.0)])
            return
        for metric in METRICS:
            yield family(metric, values(metric, found))


def values(metric: Metric, found: Status) -> list[tuple[tuple[str, ...], float]]:
    """The values of a metric with all its labels; those that are not known are left out."""
    return [
        ((found.study, *labels), float(value))
        for labels, value in metric.values(found)
        if value is not None
    ]


def family(metric: Metric, told: list[tuple[tuple[str, ...], float]]) -> "Family":
    """A metric in Prometheus's terms."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    made = kind(metric.name, metric.help, labels=(STUDY, *metric.labels))
    for labels, value in told:
        made.add_metric(labels, value)
    return made
