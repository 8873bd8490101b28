"""What both hunts share: examples beside a node that serves, and what no answer may be."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.served import Response

SECONDS = 20.0
"""Whatever takes longer hangs: every LLM here answers at once."""
LAST = {
    "message_stop",
    "response.completed",
    "response.incomplete",
    "response.failed",
}
"""The types of events that end a stream of Anthropic's or of Responses."""
FINE = frozenset({200, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 503})

Example = TypeVar("Example")


class Tracebacks(logging.Handler):
    """Keeps every traceback that goes to a log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(logging.Formatter().format(record))


async def hunt(
    strategy: SearchStrategy[Example],
    check: Callable[[Example], Awaitable[None]],
    *,
    examples: int,
    first_seed: int,
) -> None:
    """Check examples, one after the other; a failure is made small before it is raised.

    Hypothesis runs in a thread, so that the node goes on here.
    """
    loop = asyncio.get_running_loop()
    tracebacks = Tracebacks()

    async def checked(example: Example) -> None:
        tracebacks.seen.clear()
        async with asyncio.timeout(SECONDS):
            await check(example)
        assert not tracebacks.seen, tracebacks.seen[0]

    @seed(first_seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(strategy)
    def one(example: Example) -> None:
        asyncio.run_coroutine_threadsafe(checked(example), loop).result(2 * SECONDS)

    logging.getLogger().addHandler(tracebacks)
    try:
        await asyncio.to_thread(one)
    finally:
        logging.getLogger().removeHandler(tracebacks)


def assert_sound(response: Response) -> None:
    """A status that is meant, and a body that clients can read."""
    assert response.status in FINE, (response.status, response.body[:500])
    kind = response.headers.get("content-type", "")
    if kind.startswith("text/event-stream"):
        assert_stream(response.body)
    elif kind.startswith("application/x-ndjson"):
        lines = [json.loads(line) for line in response.body.splitlines()]
        assert lines[-1].get("done") or "error" in lines[-1], lines
    elif kind.startswith("text/plain"):
        assert response.status == 200
        assert response.body.decode()
    elif response.body:
        body = json.loads(response.body)
        if response.status != 200:
            error = body["error"]  # a text in Ollama's APIs
            assert error if isinstance(error, str) else error["message"], body


def assert_stream(body: bytes) -> None:
    """Events of JSON that end as their API's streams do, or with an error."""
    events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    assert events
    if events[-1] == "[DONE]":
        events.pop()
        told: list[Any] = [json.loads(event) for event in events]
        assert not any("error" in event for event in told)
        assert any(c["finish_reason"] for e in told for c in e.get("choices") or ())
    else:
        last = json.loads(events[-1])
        assert last.get("type") in LAST or last["error"]["message"], last
