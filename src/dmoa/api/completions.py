"""`POST /v1/chat/completions`, whole or streamed, or accepted in the background."""

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError, ErrorDetail, openai_error
from dmoa.api.making import Asked
from dmoa.api.openapi import ANSWERING, Operation
from dmoa.api.prompts import Prompts, json_response
from dmoa.api.reading import read
from dmoa.api.requests import ChatRequest, Extension
from dmoa.api.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    ChunkWriter,
    ProgressChunk,
    completion,
)
from dmoa.api.unattended import Fault, Work
from dmoa.api.writing import ServerSentWriter, as_json, data
from dmoa.protocol.events import Event, Finished, Text
from dmoa.store.prompts import KeptPrompt, Status

_API = "chat"
_PATH = "/v1/dmoa/background/"


class ChatWriter(ServerSentWriter):
    """Writes an answer as a chat completion.

    Args:
        chat: the request.
        prompt_id: id of the prompt.
    """

    def __init__(self, chat: ChatRequest, prompt_id: str) -> None:
        super().__init__()
        self._model = chat.model
        self._progress = bool(chat.dmoa and chat.dmoa.progress)
        self._include_usage = bool(chat.stream_options and chat.stream_options.include_usage)
        self._chunks = ChunkWriter(prompt_id, chat.model)

    def whole(self, finished: Finished) -> ChatCompletion:
        """See `Writer.whole`."""
        return completion(self._model, finished)

    def piece(self, text: Text) -> str:
        """See `Writer.piece`."""
        return data(self._chunks.piece(text.text, text.tool_calls, text.reasoning))

    def end(self, finished: Finished) -> str:
        """See `Writer.end`."""
        last = [data(self._chunks.end(finished)), data("[DONE]")]
        if self._include_usage:
            last.insert(1, data(self._chunks.usage(finished)))
        return "".join(last)

    def progress(self, event: Event) -> str:
        """A chunk, for clients that have asked for them, otherwise a comment."""
        return data(self._chunks.progress(event)) if self._progress else super().progress(event)

    def broken(self, error: ApiError) -> str:
        """See `Writer.broken`."""
        return data(as_json(openai_error(error)))


class BackgroundPrompt(msgspec.Struct, frozen=True):
    """A prompt for which nobody waits, as it is now.

    Attributes:
        url: the path where it is fetched.
        answer: when it is completed.
        error: when it has failed.
    """

    id: str
    created: int
    model: str
    status: Status
    url: str
    answer: ChatCompletion | None = None
    error: ErrorDetail | None = None
    object: Literal["dmoa.background"] = "dmoa.background"


class BackgroundDeleted(msgspec.Struct, frozen=True):
    """A prompt is kept no longer."""

    id: str
    object: Literal["dmoa.background"] = "dmoa.background"
    deleted: bool = True


class ChatCompletions:
    """The endpoints.

    Args:
        prompts: answers them.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        prompts.revives(_API, self._revive)

    def operations(self) -> list[Operation]:
        """What there is."""
        return [
            Operation(
                "/v1/chat/completions",
                "Answers a conversation, whole or streamed, or in the background.",
                self.answer,
                ChatCompletion,
                method="POST",
                body=ChatRequest,
                events=(ChatCompletionChunk, ProgressChunk),
                accepted=BackgroundPrompt,
                errors=(*ANSWERING, 507),
            ),
            Operation(
                f"{_PATH}{{id}}",
                "A prompt in the background as it is now, with its answer once there is one.",
                self.one,
                BackgroundPrompt,
                errors=(404, 503),
            ),
            Operation(
                f"{_PATH}{{id}}",
                "Works on a prompt in the background no longer, and keeps nothing of it.",
                self.delete,
                BackgroundDeleted,
                method="DELETE",
                errors=(404, 503, 507),
            ),
            Operation(
                f"{_PATH}{{id}}/cancel",
                "Works on a prompt in the background no longer; one that is over stays as it is.",
                self.cancel,
                BackgroundPrompt,
                method="POST",
                errors=(404, 503, 507),
            ),
        ]

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        chat = await read(request, ChatRequest)
        asked = _asked(chat)
        if chat.dmoa and chat.dmoa.background:
            if chat.stream:
                raise ApiError(400, "nobody waits for a prompt in the background; leave stream out")
            kept = await self._prompts.accept(asked, _API, chat)
            return json_response(_shown(kept), status=202)
        return await self._prompts.answer(request, asked, lambda name: ChatWriter(chat, name))

    async def one(self, request: Request) -> Response:
        """A prompt as it is now."""
        return json_response(_shown(await self._find(request)))

    async def delete(self, request: Request) -> Response:
        """Keep a prompt no longer."""
        kept = await self._find(request)
        await self._prompts.unattended.forget(kept.id)
        return json_response(BackgroundDeleted(kept.id))

    async def cancel(self, request: Request) -> Response:
        """Work on a prompt no longer."""
        await self._prompts.unattended.cancel((await self._find(request)).id)
        return json_response(_shown(await self._find(request)))

    async def _find(self, request: Request) -> KeptPrompt:
        name = request.path_params["id"]
        kept = await self._prompts.unattended.find(name, _API) if self._prompts.keeps else None
        if kept is None:
            raise ApiError(404, f"prompt {name[:100]!r} was not accepted in the background here")
        return kept

    async def _revive(self, kept: KeptPrompt) -> Work:
        chat = msgspec.json.decode(kept.request, type=ChatRequest)
        return await self._prompts.work(
            kept, _asked(chat), lambda finished: completion(chat.model, finished)
        )


def _asked(chat: ChatRequest) -> Asked:
    """What a request asks.

    Raises:
        ApiError: it makes no sense.
    """
    wished = chat.dmoa or Extension()
    return Asked(
        chat.model,
        chat.conversation(),
        chat.sampling(),
        chat.constraints(),
        wished.instruction,
        wished.draft_tokens,
        wished.aggregator,
        wished.local_only,
        wished.patience,
        stream=bool(chat.stream),
    )


def _shown(kept: KeptPrompt) -> BackgroundPrompt:
    """A prompt for which nobody waits, as it is now."""
    model = msgspec.json.decode(kept.request, type=ChatRequest).model
    answer = error = None
    match kept.status:
        case "completed":
            answer = msgspec.json.decode(kept.answer, type=ChatCompletion)
        case "failed":
            fault = msgspec.json.decode(kept.answer, type=Fault)
            error = openai_error(ApiError(fault.status, fault.message, code=fault.code)).error
    return BackgroundPrompt(
        kept.id, int(kept.created), model, kept.status, f"{_PATH}{kept.id}", answer, error
    )
