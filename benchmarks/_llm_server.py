"""An LLM server that costs next to nothing: OpenAI's API with one answer of 16 tokens.

    python -m benchmarks._llm_server      # prints its port

It answers whole or streamed as it is asked, all tokens at once.
"""

import asyncio
import json
from typing import cast

from dmoa.cli.up import loop_factory

WORDS = [f"word{i} " for i in range(16)]
USAGE = {"prompt_tokens": 9, "completion_tokens": len(WORDS), "total_tokens": 9 + len(WORDS)}
HEAD = {"id": "x", "created": 1, "model": "tiny"}


def _whole() -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps(
        {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    ).encode()


def _streamed() -> bytes:
    def chunk(choices: list[dict[str, object]], **more: object) -> str:
        told = {**HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(told)}\n\n"

    def choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": delta, "finish_reason": finish}]

    events = [chunk(choice({"role": "assistant", "content": ""}))]
    events += [chunk(choice({"content": word})) for word in WORDS]
    events += [chunk(choice({}, "stop")), chunk([], usage=USAGE), "data: [DONE]\n\n"]
    return "".join(events).encode()


def _response(body: bytes, kind: str, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


MODELS = _response(b'{"object":"list","data":[{"id":"tiny","object":"model"}]}', "application/json")
NOTHING = _response(b"{}", "application/json", "404 Not Found")
ANSWER = _response(_whole(), "application/json")
STREAM = _response(_streamed(), "text/event-stream")


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            _, _, length = head.partition(b"content-length:")
            whole = end + 4 + int(length.split(b"\r\n")[0] or 0)
            if len(self._data) < whole:
                return
            body, self._data = self._data[end + 4 : whole], self._data[whole:]
            self._transport.write(_answer(head, body))


def _answer(head: bytes, body: bytes) -> bytes:
    if head.startswith(b"post /v1/chat/completions"):
        return STREAM if b'"stream":true' in body.replace(b" ", b"") else ANSWER
    return MODELS if head.startswith(b"get /v1/models") else NOTHING


async def main() -> None:
    """Serve until this process is ended."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())
