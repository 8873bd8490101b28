"""A server that refuses some requests, and what refusing looks like."""

from typing import Any

from tests.llm.fake import (
    DONE,
    C,
    Fake,
    Reply,
    Request,
    as_json,
    openai_models,
    streamed,
)

CHAT = "/v1/chat/completions"
PARIS = streamed(C({"role": "assistant", "content": "Paris"}), C({}, "stop"), DONE)


def refusal(message: str, status: int = 400, **more: Any) -> Reply:
    return as_json({"error": {"message": message, **more}}, status)


class Picky(Fake):
    """A server that looks at requests before it answers.

    Args:
        judge: the refusal of a body, or None.
    """

    def __init__(self, judge: Any) -> None:
        super().__init__()

        def chat(request: Request) -> Reply | None:
            if request.path != CHAT:
                return None
            return judge(request.body) or PARIS

        self.handlers = [openai_models("tiny"), chat]

    def roles(self) -> list[list[str]]:
        """The roles of each request."""
        return [[m["role"] for m in r.body["messages"]] for r in self.calls(CHAT)]
