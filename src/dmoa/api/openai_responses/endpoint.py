"""`POST /v1/responses`, and what became of earlier ones."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError
from dmoa.api.making import Asked
from dmoa.api.openai_responses.items import Item, conversation, resolved, shown
from dmoa.api.openai_responses.memory import Kept, ResponseMemory
from dmoa.api.openai_responses.objects import (
    EVENTS,
    ItemList,
    Numbered,
    ResponseCreated,
    ResponseDeleted,
    ResponseFailed,
    ResponseFault,
    ResponseInProgress,
    ResponseObject,
)
from dmoa.api.openai_responses.output import Output, output_items
from dmoa.api.openai_responses.request import ResponsesRequest
from dmoa.api.openapi import ANSWERING, Operation
from dmoa.api.prompts import Prompts, json_response
from dmoa.api.reading import message, read
from dmoa.api.writing import ServerSentWriter, tagged
from dmoa.protocol.conversation import Message
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.records import PromptRecord


class ResponseWriter(ServerSentWriter):
    """Writes an answer as a response.

    Args:
        asked: the request.
        prompt_id: id of the prompt.
        items: the conversation so far, as the API shows it.
        messages: the same without instructions, as devices read it.
        memory: keeps the response, unless the client wants it otherwise.
    """

    def __init__(
        self,
        asked: ResponsesRequest,
        prompt_id: str,
        items: list[Item],
        messages: list[Message],
        memory: ResponseMemory,
    ) -> None:
        super().__init__()
        self._items = items
        self._messages = messages
        self._memory = memory
        self._number = 0
        self._output = Output(_blank(asked, prompt_id, int(self.created)))
        self._response = self._output.response

    def whole(self, finished: Finished) -> ResponseObject:
        """See `Writer.whole`."""
        text = Text(finished.text, finished.tool_calls, finished.reasoning)
        for _ in (*self._output.piece(text), *self._output.end(finished)):
            pass  # nobody reads the events
        self._keep()
        return self._response

    def begin(self, record: PromptRecord) -> str:
        """See `Writer.begin`."""
        response = self._response
        return self._write(
            [ResponseCreated(response=response), ResponseInProgress(response=response)]
        )

    def piece(self, text: Text) -> str:
        """See `Writer.piece`."""
        return self._write(self._output.piece(text))

    def end(self, finished: Finished) -> str:
        """See `Writer.end`."""
        written = self._write(self._output.end(finished))
        self._keep()
        return written

    def broken(self, error: ApiError) -> str:
        """See `Writer.broken`."""
        self._response.status = "failed"
        codes = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
        code = codes.get(error.status, "server_error")
        self._response.error = ResponseFault(code, str(error))
        return self._write([ResponseFailed(response=self._response)])

    def _write(self, events: Iterable[Numbered]) -> str:
        lines = []
        for event in events:  # each is written before the next one changes what it shows
            event.sequence_number = self._number
            self._number += 1
            lines.append(tagged(event))
        return "".join(lines)

    def _keep(self) -> None:
        if self._response.store:
            messages = [*self._messages, self._output.message()]
            self._memory.keep(Kept(self._response, self._items, messages))


class Responses:
    """The endpoints.

    Args:
        prompts: answers requests.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        self._memory = ResponseMemory()

    def operations(self) -> list[Operation]:
        """What there is."""
        return [
            Operation(
                "/v1/responses",
                "Answers a conversation, whole or streamed, and keeps it to go on from.",
                self.answer,
                ResponseObject,
                method="POST",
                body=ResponsesRequest,
                events=EVENTS,
                errors=ANSWERING,
            ),
            Operation(
                "/v1/responses/{id}",
                "One of the last responses.",
                self.one,
                ResponseObject,
                errors=(400, 404),
            ),
            Operation(
                "/v1/responses/{id}",
                "Keeps a response no longer.",
                self.delete,
                ResponseDeleted,
                method="DELETE",
                errors=(404,),
            ),
            Operation(
                "/v1/responses/{id}/input_items",
                "What one of the last responses answers, the newest item first.",
                self.input_items,
                ItemList,
                errors=(400, 404),
            ),
        ]

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        wanted = await read(request, ResponsesRequest)
        wanted.check()
        before: list[Message] = []
        items: list[Item] = []
        if wanted.previous_response_id is not None:
            kept = self._memory.get(wanted.previous_response_id)
            before, items = kept.messages, [*kept.items, *output_items(kept.response)]
        given = resolved(wanted.input, self._memory.items)
        messages = [*before, *conversation(given)]
        items += shown(given)
        system = [message("system", wanted.instructions)] if wanted.instructions else []
        asked = Asked(
            wanted.model,
            system + messages,
            wanted.sampling(),
            wanted.constraints(),
            stream=bool(wanted.stream),
        )
        return await self._prompts.answer(
            request, asked, lambda name: ResponseWriter(wanted, name, items, messages, self._memory)
        )

    async def one(self, request: Request) -> Response:
        """A response that is kept."""
        if request.query_params.get("stream") == "true":
            raise ApiError(400, "a response that is over cannot be streamed; leave stream out")
        return json_response(self._memory.get(request.path_params["id"]).response)

    async def input_items(self, request: Request) -> Response:
        """What a kept response answers."""
        kept = self._memory.get(request.path_params["id"])
        return json_response(item_page(kept.items, request.query_params))

    async def delete(self, request: Request) -> Response:
        """Keep a response no longer."""
        name = request.path_params["id"]
        self._memory.forget(name)
        return json_response(ResponseDeleted(name))


def _blank(asked: ResponsesRequest, prompt_id: str, created: int) -> ResponseObject:
    """A response without an answer: what was asked."""
    text = msgspec.to_builtins(asked.text) if asked.text else {}
    return ResponseObject(
        id=f"resp_{prompt_id.rpartition('-')[2]}",
        created_at=created,
        model=asked.model,
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        metadata=asked.metadata or {},
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        previous_response_id=asked.previous_response_id,
        reasoning=msgspec.to_builtins(asked.reasoning) if asked.reasoning else {},
        store=asked.store is not False,
        temperature=asked.temperature,
        text={**text, "format": text.get("format") or {"type": "text"}},
        tool_choice=asked.tool_choice or "auto",
        tools=[{"parameters": None, "strict": None, **tool} for tool in asked.tools or []],
        top_p=asked.top_p,
        truncation=asked.truncation or "disabled",
    )


def item_page(items: Sequence[Item], query: Mapping[str, str]) -> ItemList:
    """Some of the items: at most `limit`, in an `order`, `after` one of them.

    Raises:
        ApiError: the query makes no sense.
    """
    limit, order, after = query.get("limit", "20"), query.get("order", "desc"), query.get("after")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= 100):
        raise ApiError(400, f"limit {limit[:60]!r}; send a number from 1 to 100")
    if order not in ("asc", "desc"):
        raise ApiError(400, f"order {order[:60]!r}; send asc or desc")
    left = list(items if order == "asc" else reversed(items))
    if after is not None:
        names = [item["id"] for item in left]
        if after not in names:
            raise ApiError(404, f"after: there is no item {after[:100]!r}")
        left = left[names.index(after) + 1 :]
    page = left[: int(limit)]
    return ItemList(
        page,
        page[0]["id"] if page else None,
        page[-1]["id"] if page else None,
        len(page) < len(left),
    )
