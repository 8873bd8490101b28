"""What every played server has in common: a script, and how to break it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.llm.fake import DONE, C, Fake, Reply, Request, as_json, streamed


@dataclass
class Played(Fake):
    """A server of one dialect that serves one chat model, and lists others that cannot chat.

    Attributes:
        program: what our client should take it for.
        chat: the model that can answer.
        nicknames: other ways to name it.
        window: tokens, as the server says; None where it does not.
        counts: tokens of any prompt, where the server counts.
        reasoning, text, calls: what it answers.
        loading: so many requests of each path are still answered that it loads.
        refusal: how it refuses the next request for an answer, see `refuse`.
        cut: the connection dies before the answer has ended.
    """

    program: ClassVar[str]
    chat: ClassVar[str]
    nicknames: ClassVar[Sequence[str]] = ()
    window: ClassVar[int | None] = None
    counts: ClassVar[int | None] = None
    chat_path: ClassVar[str] = "/v1/chat/completions"
    thinks_in: ClassVar[str] = "reasoning_content"

    reasoning: str = "hm"
    text: str = "Hi 😀"
    calls_made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    loading: int = 0
    refusal: str = ""
    cut: bool = False

    def get(self, request: Request) -> Reply | None:
        """What it says of itself and counts."""
        raise NotImplementedError

    def loads(self) -> Reply:
        """While it loads."""
        return as_json({"error": {"code": 503, "message": "Loading model"}}, 503)

    def refuse(self, kind: str) -> Reply:
        """How it says `overflow` (with its window), `tools` or `schema`."""
        raise NotImplementedError

    def play(self, request: Request) -> Reply:
        """The script as a stream, as this server writes it."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{self.thinks_in: piece} for piece in halves(self.reasoning)]
        deltas += [{"content": piece} for piece in halves(self.text)]
        pieces = [C(delta) for delta in deltas]
        pieces += [C({"tool_calls": [part]}) for part in self.parts()]
        if self.cut:
            return streamed(*pieces, ends=False)
        usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
        finish = C({}, "tool_calls" if self.calls_made else "stop")
        return streamed(
            *pieces,
            finish,
            C(None, None, usage=usage).replace(
                '{"index": 0, "delta": {}, "finish_reason": null}', ""
            ),
            DONE,
        )

    def parts(self) -> list[dict[str, Any]]:
        """The calls in parts, as this server sends them; by default as OpenAI does."""
        import json

        parts: list[dict[str, Any]] = []
        for i, (name, arguments) in enumerate(self.calls_made):
            first = {"name": name, "arguments": ""}
            parts.append({"index": i, "id": f"call_{i}", "type": "function", "function": first})
            parts += [
                {"index": i, "function": {"arguments": piece}}
                for piece in halves(json.dumps(arguments))
            ]
        return parts

    def answer(self, request: Request) -> Reply:
        """See `Fake.answer`."""
        if self.loading > 0:
            self.loading -= 1
            return self.loads()
        if request.path == self.chat_path and request.method == "POST":
            if self.refusal:
                refusal, self.refusal = self.refusal, ""
                return self.refuse(refusal)
            return self.play(request)
        return self.get(request) or as_json({"detail": "Not Found"}, 404)


def halves(text: str) -> list[str]:
    """A text in two pieces."""
    return [piece for piece in (text[: len(text) // 2], text[len(text) // 2 :]) if piece]


def refused(message: str, status: int = 400, **more: Any) -> Reply:
    """An error in OpenAI's form."""
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status, **more}
    return as_json({"error": error}, status)


def models(*names: str, owner: str, **more: Any) -> Reply:
    """A list of models in OpenAI's form."""
    entries = [
        {"id": name, "object": "model", "created": 0, "owned_by": owner, **more} for name in names
    ]
    return as_json({"object": "list", "data": entries})
