"""`GET /metrics`, as Prometheus reads it: what this device measures, counted since its start.

Gauges are read when they are asked for; an inference costs a prompt a few additions at its end.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.openapi import Operation
from dmoa.device.device import Device
from dmoa.network.messages import DeviceReport
from dmoa.protocol.records import PromptRecord

LATENCY_SECONDS = (0.1, 0.3, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)

_GAUGES: dict[str, tuple[str, Callable[[DeviceReport], float | None]]] = {
    "queue_tasks": ("Tasks that wait.", lambda report: report.queue),
    "serving_tasks": ("Tasks in service.", lambda report: report.serving),
    "promised_tasks": ("Tasks that own prompts will still put here.", lambda r: r.promised),
    "service_seconds": ("Mean seconds an inference (alpha).", lambda report: report.alpha),
    "prompts_per_second": ("Prompts of the own user (lambda).", lambda r: r.arrival_rate),
    "load": ("Share of the LLM's time that is taken; stable below 1.", lambda r: r.load),
    "tokens_per_second": ("Speed of the LLM.", lambda report: report.tokens_per_second),
    "healthy": ("Whether the LLM has made a token lately.", lambda report: report.healthy),
}


class Metrics:
    """The metrics of one device.

    Args:
        device: the device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._registry = CollectorRegistry()
        for name, (help_text, read) in _GAUGES.items():
            self._gauge(name, help_text, _reader(device, read))
        self._gauge("peers", "Other devices that are there.", lambda: len(device.peers()))
        self._gauge("open_prompts", "Own prompts under way.", lambda: device.open_prompts)
        self._seconds = Histogram(
            "dmoa_prompt_seconds",
            "Seconds from a prompt to its answer, by M and k and what is done with drafts.",
            ("layers", "proposers", "method"),
            registry=self._registry,
            buckets=LATENCY_SECONDS,
        )
        self._prompts = self._counter("prompts", "Own prompts, by how they ended.", "outcome")
        self._tasks = self._counter("tasks", "Inferences of own prompts, by outcome.", "outcome")
        self._tokens = self._counter("tokens", "Tokens of own prompts.", "kind")
        self._refusals = self._counter("refusals", "Requests refused, by cause.", "cause")
        device.watch(self._ended)

    def refused(self, error: Exception) -> None:
        """A request got no answer."""
        self._refusals.labels(type(error).__name__).inc()

    def operation(self) -> Operation:
        """The endpoint."""
        return Operation(
            "/metrics",
            "What this device measures, for Prometheus.",
            self._answer,
            str,
            answered_as="text/plain",
        )

    async def _answer(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def _ended(self, record: PromptRecord) -> None:
        answered = record.error is None
        self._prompts.labels("answered" if answered else "failed").inc()
        if answered and record.seconds is not None:
            method = record.plan.method if record.plan else "asked"
            self._seconds.labels(record.M, record.k, method).observe(record.seconds)
        for inference in record.inferences():
            self._tasks.labels(inference.outcome).inc()
        self._tokens.labels("prompt").inc(record.usage.prompt_tokens)
        self._tokens.labels("completion").inc(record.usage.completion_tokens)

    def _gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        Gauge(f"dmoa_{name}", help_text, registry=self._registry).set_function(read)

    def _counter(self, name: str, help_text: str, label: str) -> Counter:
        return Counter(f"dmoa_{name}", help_text, (label,), registry=self._registry)


def _reader(device: Device, read: Callable[[DeviceReport], float | None]) -> Callable[[], float]:
    def value() -> float:
        found = read(device.report())
        return float("nan") if found is None else float(found)

    return value
