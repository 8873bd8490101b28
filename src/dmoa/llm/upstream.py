"""A model behind a server as a device's LLM, whichever dialect the server speaks."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self

import msgspec

from dmoa.errors import (
    ContextExceeded,
    LLMBroken,
    LLMBusy,
    LLMError,
    LLMUnavailable,
    RequestRefused,
)
from dmoa.llm import connecting
from dmoa.llm.choosing import Model
from dmoa.llm.connecting import Say
from dmoa.llm.dialect import Dialect
from dmoa.llm.dialects.generic import DIALECT as GENERIC
from dmoa.llm.embedding import embed
from dmoa.llm.faults import Fault, ServerRefused
from dmoa.llm.habits import Habits
from dmoa.llm.http import Server
from dmoa.llm.interface import Alive, Embedded, End, ModelInfo, Token
from dmoa.llm.outgoing import Outgoing, arrange, thinking_is_off
from dmoa.llm.reading import Reading
from dmoa.llm.tokens import estimate_tokens
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.packing import Pack, pack
from dmoa.text import check_url

BUSY_SECONDS = 600.0
"""How long a server that is loading or full is waited for; the caller's deadline may be sooner."""
LEARNINGS = 4
"""How often one request is changed and sent again; each time teaches a habit that stays."""
BELIEF_SECONDS = 60.0
"""How long a window that a refusal stated is believed before the server is asked anew."""
_PAUSES = (0.25, 0.5, 1.0, 2.0, 5.0)
_SMALLEST_ANSWER = 16


class Upstream:
    """An LLM behind a server; see `LLM`.

    Args:
        server: where it is.
        dialect: how it is spoken to.
        model: its name there.
        info: what is known of it.
        asked_window: tokens that each request asks the server for.
        defaults: OpenAI's parameters for requests that leave them open.
        always: parameters beyond OpenAI's, sent with each request.
    """

    def __init__(
        self,
        server: Server,
        dialect: Dialect,
        model: str,
        info: ModelInfo,
        *,
        asked_window: int | None = None,
        pack: Pack = pack,
        defaults: Mapping[str, Any] | None = None,
        always: Mapping[str, Any] | None = None,
    ) -> None:
        self.pack = pack
        self.server = server
        self.dialect = dialect
        self._model = model
        self._info = info
        self._told_window = info.context_length
        self._asked_window = asked_window
        self._defaults = dict(defaults or {})
        self._always = dict(always or {})
        able = info.capabilities
        self._habits = msgspec.structs.replace(
            dialect.habits(), images=able.vision, audio=able.audio, tools=able.tools
        )
        self._opens_thinking = False
        self._believed_at: float | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        model: str | None,
        *,
        key: str | None = None,
        context_length: int | None = None,
        name: str | None = None,
        pack: Pack = pack,
        defaults: Mapping[str, Any] | None = None,
        always: Mapping[str, Any] | None = None,
        wait_seconds: float = 0.0,
        say: Say = lambda line: None,
    ) -> Self:
        """Find a server, wait for it if need be, and choose a model.

        Args:
            url: ends in `/v1` for nearly all servers.
            model: one of its models, also without its tag or owner; None takes one that can
                chat, a loaded one before others.
            key: shown to the server.
            context_length: tokens, when the user wants another window than the server's.
            name: what the model is called here; by default as there.
            wait_seconds: how long a server that does not answer yet is waited for; one that
                says that it is loading is waited for longer.
            say: is told what goes on.

        Raises:
            LLMUnavailable: it cannot be reached, or wants another key.
            UsageError: it has no such model, or is a dmoa node itself.
        """
        check_url(url)
        found = await connecting.find(url, key, wait_seconds=wait_seconds, say=say)
        try:
            chosen, description = await connecting.choose(found, model)
            window, asked = connecting.window(description, found.dialect, context_length, say)
        except BaseException:  # also a cancelled start: the connection must not stay open
            await found.server.close()
            raise
        info = ModelInfo(name or chosen.name, window, description.capabilities)
        return cls(
            found.server,
            found.dialect,
            chosen.name,
            info,
            asked_window=asked,
            pack=pack,
            defaults=defaults,
            always=always,
        )

    @property
    def info(self) -> ModelInfo:
        """See `LLM.info`."""
        return self._info

    async def count_tokens(
        self, messages: Sequence[Message], constraints: Constraints | None = None
    ) -> int:
        """See `LLM.count_tokens`; exact where the server can count."""
        await self._heal()
        estimate = estimate_tokens(messages, constraints)
        if any(message.parts for message in messages):
            return estimate  # what is no text counts, and differently everywhere
        arranged = arrange(messages, self._habits)
        exact = await self.dialect.count_tokens(self.server, self._model, arranged, constraints)
        return exact if exact is not None else estimate

    async def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
    ) -> AsyncGenerator[Token | End, None]:
        """See `LLM.stream`."""
        before = ours = self._habits
        patience = _Patience(self._info.name)
        for _ in range(LEARNINGS + 1):
            outgoing = await self._outgoing(messages, sampling, constraints)
            while True:
                try:
                    inner = self._answer(outgoing)
                    async with aclosing(inner):
                        async for item in inner:
                            before = outgoing.habits  # it was taken
                            yield item
                except ServerRefused as refused:
                    fault = refused.fault
                else:
                    return
                if not (fault.kind == "busy" or self.dialect.retries(fault.words)):
                    break
                pause = patience.pause(fault)
                yield Alive(note=f"{self._info.name}: {fault.words}", waiting=True)
                if patience.first:
                    await self.dialect.wake(self.server, self._model)
                await asyncio.sleep(pause)
            fault = await self._settled(fault, outgoing)
            if not self._learn(fault, outgoing):
                break
            ours = self._habits
        if self._habits is ours:
            self._adopt(before)  # what did not help is not kept
        raise self._error(fault)

    async def embed(self, request: dict[str, Any]) -> Embedded:
        """See `Embedder.embed`."""
        name, path = self._info.name, self.dialect.embeddings_path(self.server)
        try:
            return await embed(self.server, path, {**request, "model": self._model}, name)
        except ServerRefused as refused:
            raise self._error(refused.fault) from None

    async def close(self) -> None:
        """See `LLM.close`."""
        await self.server.close()

    # --- one request ----------------------------------------------------------------------------

    async def _answer(self, outgoing: Outgoing) -> AsyncGenerator[Token | End, None]:
        """The tokens of one request.

        Raises:
            ServerRefused: the server answers with an error, before any token.
        """
        thinking = self._opens_thinking and not thinking_is_off(outgoing.sampling.thinking)
        reading = Reading(self.dialect, thinking=thinking)
        body = self.dialect.request(outgoing)
        try:
            path = self.dialect.path(self.server)
            async with self.server.stream(path, body) as chunks, aclosing(chunks):
                while (data := await _next(chunks, reading)) is not None:
                    for token in reading.feed(data):
                        yield token
            estimate = estimate_tokens(outgoing.messages, outgoing.constraints)
            for item in reading.end(estimate):
                if isinstance(item, End):
                    item = msgspec.structs.replace(item, notes=outgoing.notes)
                yield item
        except LLMBroken as error:
            raise LLMBroken(f"{self._info.name}: {error}") from None
        if reading.opens_thinking is not None:
            self._opens_thinking = reading.opens_thinking

    async def _outgoing(
        self, messages: Sequence[Message], sampling: Sampling, constraints: Constraints | None
    ) -> Outgoing:
        outgoing = Outgoing(
            self._model,
            arrange(messages, self._habits),
            sampling,
            constraints,
            habits=self._habits,
            window=self._asked_window,
            defaults=self._defaults,
            always=self._always,
            notes=[],
        )
        limit = sampling.max_tokens
        if limit is None:
            return outgoing
        most = self._habits.output_limit or limit
        room, window = self._habits.room, self._info.context_length
        if room is not None and limit > window // 4:
            needed = await self.count_tokens(outgoing.messages, constraints)
            most = min(most, max(window - needed - room, _SMALLEST_ANSWER))
        if most < limit:
            outgoing.note(
                f"max_tokens is {most} instead of {limit}: the model has no room for more"
            )
            outgoing.sampling = msgspec.structs.replace(sampling, max_tokens=most)
        return outgoing

    # --- what refusals teach --------------------------------------------------------------------

    async def _settled(self, fault: Fault, outgoing: Outgoing) -> Fault:
        """Whether the prompt or `max_tokens` is too long, where the server leaves that open."""
        if fault.kind != "output" or fault.window is None or fault.prompt is not None:
            return fault
        needed = await self.count_tokens(outgoing.messages, outgoing.constraints)
        if needed < fault.window:
            return fault
        return msgspec.structs.replace(fault, kind="context", prompt=needed)

    def _learn(self, fault: Fault, outgoing: Outgoing) -> bool:
        """Whether the request may be taken if it is written anew."""
        if fault.window is not None:
            self._believe(fault.window)
        if fault.kind == "missing" and "model" not in fault.words.lower():
            if self.dialect.path(self.server) == GENERIC.path(self.server):
                return False
            self.dialect = GENERIC  # it only looks like that dialect
            return True
        if fault.kind == "output" and outgoing.sampling.max_tokens is None:
            return False
        learnt = self._habits.learn(fault, outgoing.messages)
        if learnt is None:
            return False
        self._adopt(learnt)
        return True

    def _adopt(self, habits: Habits) -> None:
        self._habits = habits
        able = msgspec.structs.replace(
            self._info.capabilities, vision=habits.images, audio=habits.audio
        )
        self._info = msgspec.structs.replace(self._info, capabilities=able)

    def _believe(self, window: int) -> None:
        """A window that the server has stated."""
        self._info = msgspec.structs.replace(self._info, context_length=window)
        self._believed_at = asyncio.get_running_loop().time()

    async def _heal(self) -> None:
        """Ask the server for its window again, when what a refusal said has grown old."""
        if self._believed_at is None:
            return
        if asyncio.get_running_loop().time() - self._believed_at < BELIEF_SECONDS:
            return
        self._believed_at = None
        self.server.forget()
        description = await self.dialect.describe(self.server, await self._listed())
        window = description.window or self._told_window
        self._info = msgspec.structs.replace(self._info, context_length=window)

    async def _listed(self) -> Model:
        models = await self.dialect.models(self.server)
        return next((m for m in models if m.name == self._model), Model(self._model))

    def _error(self, fault: Fault) -> LLMError:
        name = self._info.name
        match fault.kind:
            case "context":
                window = fault.window or self._info.context_length
                return ContextExceeded(fault.prompt, window, fault.words)
            case "key":
                return LLMUnavailable(
                    f"{name}: {self.server.url} refuses the key; set the right one in DMOA_LLM_KEY"
                    f" ({fault.words})"
                )
            case "missing":
                return LLMUnavailable(f"{name} is not at {self.server.url} any more: {fault.words}")
            case "output":
                said = re.search(r"max_\w*tokens\W.*too large", fault.words)
                words = fault.words if said else f"max_tokens is too large: {fault.words}"
                return RequestRefused(fault.status, words)
            case "refused":
                return RequestRefused(fault.status, fault.words)
            case _:
                return LLMBroken(f"{name} failed: {fault.words}")


async def _next(chunks: AsyncGenerator[bytes], reading: Reading) -> bytes | None:
    """The next bytes; None when the stream has ended, in whatever way once the answer is whole.

    Some servers leave the connection open after the last word, others cut it.

    Raises:
        LLMBroken: it was cut before.
    """
    if reading.tail_seconds is None:
        return await anext(chunks, None)
    try:
        async with asyncio.timeout(reading.tail_seconds):
            return await anext(chunks, None)
    except (TimeoutError, LLMBroken):
        return None


class _Patience:
    """How long a server that is loading or full is waited for.

    Attributes:
        first: this is the first pause.
    """

    def __init__(self, name: str) -> None:
        self.first = True
        self._name = name
        self._pauses = 0
        self._since = 0.0

    def pause(self, fault: Fault) -> float:
        """Seconds until it is worth asking again.

        Raises:
            LLMBusy: it has been busy for too long.
        """
        now = asyncio.get_running_loop().time()
        self.first = self._pauses == 0
        if self.first:
            self._since = now
        waited = now - self._since
        if waited >= BUSY_SECONDS:
            raise LLMBusy(f"{self._name} was busy for {waited:.0f} s: {fault.words}")
        wanted = fault.retry_after
        if wanted is None:
            wanted = _PAUSES[min(self._pauses, len(_PAUSES) - 1)]
        self._pauses += 1
        return min(max(wanted, _PAUSES[0]), BUSY_SECONDS - waited)
