"""`POST /v1/chat/completions`, whole or streamed."""

from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError, openai_error
from dmoa.api.making import Asked
from dmoa.api.prompts import Prompts
from dmoa.api.reading import read
from dmoa.api.requests import ChatRequest, Extension
from dmoa.api.responses import ChatCompletion, ChunkWriter, completion
from dmoa.api.writing import ServerSentWriter, as_json, data
from dmoa.protocol.events import Event, Finished, Text


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


class ChatCompletions:
    """The endpoint.

    Args:
        prompts: answers them.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        chat = await read(request, ChatRequest)
        wished = chat.dmoa or Extension()
        asked = Asked(
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
        return await self._prompts.answer(request, asked, lambda name: ChatWriter(chat, name))
