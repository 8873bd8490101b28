"""`POST /v1/responses`, and what became of earlier ones."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError
from dmoa.api.making import Asked
from dmoa.api.openai_responses.items import InputItem, Item, conversation, resolved, shown
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
from dmoa.api.unattended import Fault, Work
from dmoa.api.writing import ServerSentWriter, tagged
from dmoa.protocol.conversation import Message
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.records import PromptRecord
from dmoa.store.prompts import KeptPrompt

_API = "responses"
_PREFIX = "resp_"
"""Of a response's id, in the place of `prompt-` in its prompt's."""


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
        self._output.whole(finished)
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
        self._response.error = _fault(error.status, str(error))
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


class KeptRequest(msgspec.Struct, frozen=True):
    """A request with its conversation, whole enough to be kept where nobody waits.

    Attributes:
        request: without its input.
        given: its input, references resolved.
        before: the conversation before it, as devices read it.
        items: the same as the API shows it.
    """

    request: ResponsesRequest
    given: list[InputItem]
    before: list[Message]
    items: list[Item]

    @property
    def shown(self) -> list[Item]:
        """The conversation, as the API shows it."""
        return [*self.items, *shown(self.given)]

    @property
    def messages(self) -> list[Message]:
        """The conversation, without instructions."""
        return [*self.before, *conversation(self.given)]

    def asked(self) -> Asked:
        """What it asks.

        Raises:
            ApiError: it makes no sense.
        """
        wanted = self.request
        system = [message("system", wanted.instructions)] if wanted.instructions else []
        return Asked(
            wanted.model,
            system + self.messages,
            wanted.sampling(),
            wanted.constraints(),
            stream=bool(wanted.stream),
        )

    def blank(self, kept: KeptPrompt) -> ResponseObject:
        """The response before there is an answer."""
        return _blank(self.request, kept.id, int(kept.created))


class Responses:
    """The endpoints.

    Args:
        prompts: answers requests.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        self._memory = ResponseMemory()
        prompts.revives(_API, self._revive)

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
                errors=(*ANSWERING, 507),
            ),
            Operation(
                "/v1/responses/{id}",
                "One of the last responses, or one in the background as it is now.",
                self.one,
                ResponseObject,
                errors=(400, 404, 503),
            ),
            Operation(
                "/v1/responses/{id}",
                "Keeps a response no longer.",
                self.delete,
                ResponseDeleted,
                method="DELETE",
                errors=(404, 503, 507),
            ),
            Operation(
                "/v1/responses/{id}/cancel",
                "Works on a background response no longer; one that is over stays as it is.",
                self.cancel,
                ResponseObject,
                method="POST",
                errors=(400, 404, 503, 507),
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
            earlier = await self._find(wanted.previous_response_id)
            before, items = earlier.messages, [*earlier.items, *output_items(earlier.response)]
        given = resolved(wanted.input, self._memory.items)
        whole = KeptRequest(msgspec.structs.replace(wanted, input=[]), given, before, items)
        if wanted.background:
            kept = await self._prompts.accept(whole.asked(), _API, whole)
            return json_response(_shown(kept))
        return await self._prompts.answer(
            request,
            whole.asked(),
            lambda name: ResponseWriter(
                whole.request, name, whole.shown, whole.messages, self._memory
            ),
        )

    async def one(self, request: Request) -> Response:
        """A response that is kept."""
        if request.query_params.get("stream") == "true":
            raise ApiError(400, "a kept response cannot be streamed; leave stream out")
        name = request.path_params["id"]
        if (kept := await self._unattended(name)) is not None:
            return json_response(_shown(kept))
        return json_response(self._memory.get(name).response)

    async def input_items(self, request: Request) -> Response:
        """What a kept response answers."""
        kept = await self._find(request.path_params["id"])
        return json_response(item_page(kept.items, request.query_params))

    async def delete(self, request: Request) -> Response:
        """Keep a response no longer."""
        name = request.path_params["id"]
        if (kept := await self._unattended(name)) is not None:
            await self._prompts.unattended.forget(kept.id)
        else:
            self._memory.forget(name)
        return json_response(ResponseDeleted(name))

    async def cancel(self, request: Request) -> Response:
        """Work on a response no longer."""
        name = request.path_params["id"]
        if (kept := await self._unattended(name)) is None:
            self._memory.get(name)
            raise ApiError(400, "only a response that was asked for in the background is cancelled")
        await self._prompts.unattended.cancel(kept.id)
        return json_response(_shown(await self._unattended(name) or kept))

    async def _find(self, name: str) -> Kept:
        """A response to go on from.

        Raises:
            ApiError: it is not there, or not over.
        """
        if (kept := await self._unattended(name)) is None:
            return self._memory.get(name)
        if kept.status != "completed":
            raise ApiError(400, f"response {name!r} is {kept.status}; go on from a completed one")
        return msgspec.json.decode(kept.answer, type=Kept)

    async def _unattended(self, name: str) -> KeptPrompt | None:
        """A response that nobody waits, or waited, for."""
        if name in self._memory or not self._prompts.keeps:
            return None
        return await self._prompts.unattended.find(name.replace(_PREFIX, "prompt-", 1), _API)

    async def _revive(self, kept: KeptPrompt) -> Work:
        whole = msgspec.json.decode(kept.request, type=KeptRequest)

        def answer(finished: Finished) -> Kept:
            output = Output(whole.blank(kept))
            output.whole(finished)
            messages = [*whole.messages, output.message()]
            return Kept(output.response, whole.shown, messages)

        return await self._prompts.work(kept, whole.asked(), answer)


def _shown(kept: KeptPrompt) -> ResponseObject:
    """A response that nobody waits for, as it is now."""
    if kept.status == "completed":
        return msgspec.json.decode(kept.answer, type=Kept).response
    response = msgspec.json.decode(kept.request, type=KeptRequest).blank(kept)
    response.status = kept.status
    if kept.status == "failed":
        fault = msgspec.json.decode(kept.answer, type=Fault)
        response.error = _fault(fault.status, fault.message)
    return response


def _fault(status: int, words: str) -> ResponseFault:
    codes = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
    return ResponseFault(codes.get(status, "server_error"), words)


def _blank(asked: ResponsesRequest, prompt_id: str, created: int) -> ResponseObject:
    """A response without an answer: what was asked."""
    text = msgspec.to_builtins(asked.text) if asked.text else {}
    return ResponseObject(
        id=f"{_PREFIX}{prompt_id.rpartition('-')[2]}",
        background=bool(asked.background),
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
