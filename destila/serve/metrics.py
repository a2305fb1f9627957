"""Counters and times of a server, in Prometheus' format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from destila.serve.pool import WorkerPool

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; a short text takes about a millisecond."""


class Metrics:
    """The counters of one server, in a registry of their own.

    requests: by method, route and status. texts: labelled, by model. seconds: of requests, by
    route.
    """

    def __init__(self, pool: WorkerPool) -> None:
        # Not the global registry: two servers in one process would share their counts.
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "destila_requests", "requests", ["method", "route", "status"], registry=self.registry
        )
        self.texts = Counter("destila_texts", "texts labelled", ["model"], registry=self.registry)
        # A stream's time ends with its last line, so its route has times of its own.
        self.seconds = Histogram(
            "destila_request_seconds",
            "seconds until a response begins",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        # Read when it is asked for: the pool knows the number at any time.
        waiting = Gauge("destila_waiting_texts", "texts that wait", registry=self.registry)
        waiting.set_function(lambda: pool.waiting)

    def text(self) -> bytes:
        """Write all of them."""
        return generate_latest(self.registry)
