"""`POST /v1/completions`: OpenAI's older API, of a text that is answered."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError, openai_error
from dmoa.api.making import Asked
from dmoa.api.openapi import ANSWERING, Operation
from dmoa.api.prompts import Prompts
from dmoa.api.reading import message, read, switches
from dmoa.api.requests import StreamOptions
from dmoa.api.responses import TokenUsage, usage
from dmoa.api.writing import ServerSentWriter, as_json, data
from dmoa.protocol.conversation import (
    FinishReason,
    Penalty,
    Sampling,
    Seed,
    Share,
    Stop,
    Stops,
    Temperature,
    TokenCount,
)
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.records import PromptRecord


class CompletionRequest(msgspec.Struct):
    """The body of a request; what dmoa does not know goes to the own LLM as it is."""

    model: str
    prompt: str | list[Any]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    max_tokens: TokenCount | None = None
    stop: Stops | Stop | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | bool | None = None
    user: Any = None
    unknown: dict[str, Any] = {}

    def text(self) -> str:
        """The prompt.

        Raises:
            ApiError: more or other is asked for than one answer to one text.
        """
        refused = {
            "n": self.n not in (None, 1),
            "best_of": self.best_of not in (None, 1),
            "echo": bool(self.echo),
            "suffix": bool(self.suffix),
            # A number, even 0, asks for those of the chosen tokens.
            "logprobs": self.logprobs is not None and self.logprobs is not False,
        }
        for name, wanted in refused.items():
            if wanted:
                raise ApiError(
                    400,
                    f"{name} = {str(getattr(self, name))[:60]!r}: a committee writes one answer to"
                    f" a text and knows of no logprobs, so leave {name} out",
                )
        match self.prompt:
            case str(text) | [str(text)]:
                return text
        raise ApiError(400, "prompt is a text, or a list with one text; no tokens, and not several")

    def sampling(self) -> Sampling:
        """How tokens are drawn.

        Raises:
            ApiError: the parameters that dmoa does not know are too long.
        """
        thinking, extra = switches(self.unknown)
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=[self.stop] if isinstance(self.stop, str) else self.stop or [],
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            thinking=thinking,
            extra=extra,
        )


class TextChoice(msgspec.Struct, frozen=True):
    """The one answer."""

    text: str
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: None = None


class TextCompletion(msgspec.Struct, frozen=True):
    """An answer, or a piece of one; the last piece with a choice has the `dmoa` object."""

    id: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: TokenUsage | UnsetType = UNSET
    dmoa: PromptRecord | UnsetType = UNSET
    object: Literal["text_completion"] = "text_completion"


class CompletionWriter(ServerSentWriter):
    """Writes an answer as a completion.

    Args:
        asked: the request.
        prompt_id: id of the prompt.
    """

    def __init__(self, asked: CompletionRequest, prompt_id: str) -> None:
        super().__init__()
        self._model = asked.model
        self._id = prompt_id
        self._include_usage = bool(asked.stream_options and asked.stream_options.include_usage)

    def whole(self, finished: Finished) -> TextCompletion:
        """See `Writer.whole`."""
        choice = TextChoice(finished.text, finished.finish_reason)
        return self._completion([choice], usage(finished.record), finished.record)

    def piece(self, text: Text) -> str:
        """See `Writer.piece`; this API has no place for what is thought."""
        return data(as_json(self._completion([TextChoice(text.text)]))) if text.text else ""

    def end(self, finished: Finished) -> str:
        """See `Writer.end`."""
        choice = TextChoice("", finished.finish_reason)
        chunks = [self._completion([choice], UNSET, finished.record)]
        if self._include_usage:
            chunks.append(self._completion([], usage(finished.record)))
        return "".join(data(as_json(chunk)) for chunk in chunks) + data("[DONE]")

    def broken(self, error: ApiError) -> str:
        """See `Writer.broken`."""
        return data(as_json(openai_error(error)))

    def _completion(
        self,
        choices: list[TextChoice],
        spent: TokenUsage | UnsetType = UNSET,
        record: PromptRecord | UnsetType = UNSET,
    ) -> TextCompletion:
        return TextCompletion(self._id, int(self.created), self._model, choices, spent, record)


class Completions:
    """The endpoint.

    Args:
        prompts: answers them.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts

    def operations(self) -> list[Operation]:
        """What there is."""
        return [
            Operation(
                "/v1/completions",
                "Answers a text, whole or streamed.",
                self.answer,
                TextCompletion,
                method="POST",
                body=CompletionRequest,
                events=(TextCompletion,),
                errors=ANSWERING,
            )
        ]

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        wanted = await read(request, CompletionRequest)
        asked = Asked(
            wanted.model,
            [message("user", wanted.text())],
            wanted.sampling(),
            stream=bool(wanted.stream),
        )
        return await self._prompts.answer(
            request, asked, lambda name: CompletionWriter(wanted, name)
        )
