"""The API without sockets, on virtual time: what follows measurements and clocks."""

import asyncio
import json
from typing import Any

import pytest

from dmoa.api.app import make_app
from dmoa.api.errors import ApiError
from dmoa.api.making import PromptDefaults
from dmoa.device.committee import Committees
from dmoa.device.queue import DeviceQueue
from tests.cluster import Cluster
from tests.served import Response
from tests.virtual import run_virtual


class Api:
    """The application of device 0, whose default is M = 2 and k = 3."""

    def __init__(self, cluster: Cluster) -> None:
        device = cluster.devices[0]
        committees = Committees(device, layers=2, proposers=3)
        self._app = make_app(device, committees=committees, defaults=PromptDefaults(), keys=[])

    async def ask(self, model: str) -> Response:
        """Post a prompt."""
        messages = [{"role": "user", "content": "Why?"}]
        body = json.dumps({"model": model, "messages": messages}).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/chat/completions",
            "raw_path": b"/v1/chat/completions",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-length", b"%d" % len(body))],
        }
        request = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if request:
                return request.pop()
            await asyncio.Event().wait()  # the client stays
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *rest = sent
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Response(start["status"], headers, b"".join(m.get("body", b"") for m in rest))


def committee(response: Response) -> tuple[int, int]:
    tree: dict[str, Any] = response.json()["dmoa"]
    return tree["M"], tree["k"]


def test_when_every_device_is_busy_it_is_a_429_and_not_a_503() -> None:
    async def work() -> None:
        async with Cluster(2, queue=lambda: DeviceQueue(max_bytes=10)) as cluster:
            for device in cluster.devices:
                for _ in range(2):
                    device.queue.enter(10, "stranger")
            api = Api(cluster)
            refused = await api.ask("dmoa-m1-k1")
            assert refused.status == 429
            assert refused.json()["error"]["code"] == "queue_full"
            assert refused.headers["retry-after"] == "2"

    run_virtual(work())


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (1e9, "86400")]
)
def test_retry_after_is_whole_seconds_from_one_to_a_day(seconds: float, header: str) -> None:
    response = ApiError(429, "busy", retry_after=seconds).response("/status")
    assert response.headers["retry-after"] == header
