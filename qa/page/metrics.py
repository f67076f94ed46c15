"""What a server counts about itself, for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from qa.page.site import Site

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of questions: answers take some hundredths of a second, the first some seconds."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Metrics:
    """Counters of one server in a registry of their own, and what its libraries hold when they are read."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.sites: list[Site] = []
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "refdesk_requests",
            "Requests, by library, method, path and status.",
            ("library", "method", "route", "status"),
            registry=self.registry,
        )
        self.questions = Histogram(
            "refdesk_question_seconds",
            "Seconds from a question to its whole answer.",
            ("library",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "refdesk_questions_in_flight", "Questions being answered.", ("library",), registry=self.registry
        )
        self.dropped = Gauge(
            "refdesk_log_lines_dropped", "Log lines that could not be written.", registry=self.registry
        )
        self.registry.register(_Held(self.sites))

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


class _Held:
    """What the libraries hold, looked up when it is asked for."""

    def __init__(self, sites: list[Site]) -> None:
        self.sites = sites

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering is not to look anything up."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Documents, passages, bytes and uploaded files of each library."""
        from prometheus_client.core import GaugeMetricFamily

        documents = GaugeMetricFamily("refdesk_documents", "Documents of the library.", labels=("library",))
        passages = GaugeMetricFamily("refdesk_passages", "Passages of the library.", labels=("library",))
        held = GaugeMetricFamily("refdesk_library_bytes", "Bytes of the library's folder.", labels=("library",))
        uploads = GaugeMetricFamily("refdesk_uploads", "Uploaded files in the library's folder.", labels=("library",))
        for site in self.sites:
            counts = site.library.store.counts()
            documents.add_metric((site.name,), counts["documents"])
            passages.add_metric((site.name,), counts["passages"])
            held.add_metric((site.name,), measure(site.library.path)[1])
            uploads.add_metric((site.name,), measure(site.library.path / "uploads")[0])
        yield from (documents, passages, held, uploads)


def measure(folder: Path) -> tuple[int, int]:
    """How many files a folder and those in it hold, and of how many bytes; what goes meanwhile is not counted."""
    files = size = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.stat(os.path.join(inside, name)).st_size
                files += 1
    return files, size
