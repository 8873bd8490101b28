"""One answer as its bytes come: from a server's stream to tokens."""

from collections.abc import Iterator

from dmoa.errors import LLMBroken
from dmoa.llm.calls import CallReader
from dmoa.llm.chunks import Chunk
from dmoa.llm.dialect import Dialect
from dmoa.llm.events import Event, EventReader
from dmoa.llm.faults import ServerRefused, read_fault, stream_status
from dmoa.llm.interface import Alive, End, Token
from dmoa.llm.surrogates import SurrogateJoiner
from dmoa.protocol.conversation import Usage, finish_reason
from dmoa.protocol.reasoning import ReasoningSplitter, Split

_CHARACTERS_A_TOKEN = 4
_FAILED = frozenset({"error", "abort", "aborted", "cancelled", "canceled", "unload"})


class Reading:
    """Reads one answer.

    Args:
        dialect: of the server.
        thinking: the model is known to begin inside a thought that its prompt has opened.

    Attributes:
        begun: something of the answer has come.
        opens_thinking: whether the model does begin inside a thought; None if that stayed open.
    """

    def __init__(self, dialect: Dialect, *, thinking: bool = False) -> None:
        self.begun = False
        self.opens_thinking: bool | None = None
        self._dialect = dialect
        self._thinking = thinking
        self._events = EventReader()
        self._splitter = ReasoningSplitter(thinking=thinking)
        self._calls = CallReader()
        self._text, self._thought = SurrogateJoiner(), SurrogateJoiner()
        self._finish: str | None = None
        self._stopped_by: str | None = None
        self._usage: Usage | None = None
        self._characters = self._reasoning_characters = 0
        self._inside: list[
            str
        ] = []  # what was thought inside a thought that only the prompt opened

    @property
    def tail_seconds(self) -> float | None:
        """How long to wait for more when the answer is whole; None while it is not."""
        if self._events.done:
            return 0.5
        return 5.0 if self._finish is not None else None

    def feed(self, data: bytes) -> Iterator[Token]:
        """The tokens in the next bytes; a sign of life where there are none.

        Raises:
            ServerRefused: the server says that something is wrong, before anything of the answer.
            LLMBroken: it says so later, or sends nonsense.
        """
        alive, note = True, ""
        for event in self._events.feed(data):
            chunk = self._chunk(event)
            note = chunk.note or note
            if (token := self._token(chunk)) is not None:
                alive = False
                yield token
        if alive:
            yield Alive(note=note)

    def end(self, estimate: int) -> Iterator[Token | End]:
        """The last tokens, and the end.

        Args:
            estimate: tokens of the prompt, if the server does not say.

        Raises:
            ServerRefused, LLMBroken: as in `feed`; the stream has ended in the middle.
        """
        for event in self._events.end():
            if (token := self._token(self._chunk(event))) is not None:
                yield token
        if self._finish is None and not self._events.done:
            raise LLMBroken("its stream ended in the middle of the answer")
        if (self._finish or "").lower() in _FAILED:
            raise LLMBroken(f"it gave up in the middle of the answer ({self._finish})")
        reasoning = self._thought.end()
        split = self._splitter.feed(self._text.end())
        last = self._splitter.end()
        text = split.text + last.text
        unclosed = self._thinking and self._splitter.open and bool(self._inside)
        if unclosed and finish_reason(self._finish) == "stop":
            # It was believed to think, and has ended properly: all that was its answer.
            self.opens_thinking = False
            text = "".join(self._inside) + split.reasoning + last.reasoning
        token = Token(
            text,
            self._calls.end() or None,
            reasoning + split.reasoning + last.reasoning,
            split.recants or last.recants,
        )
        if token.text or token.reasoning or token.tool_calls or token.recants:
            self._tally(token)
            yield token
        if self._splitter.recanted:
            self.opens_thinking = True
        told = finish_reason(self._finish)
        yield End(
            "tool_calls" if self._calls else told,
            self._counted(estimate),
            stopped_by=self._stopped_by,
        )

    def _chunk(self, event: Event) -> Chunk:
        chunk = self._dialect.chunk(event)
        if chunk.error is not None:
            fault = read_fault(stream_status(chunk.error), chunk.error)
            if not self.begun:
                raise ServerRefused(fault)
            raise LLMBroken(f"it failed in the middle of its answer: {fault.words}")
        self._finish = chunk.finish or self._finish
        self._stopped_by = chunk.stopped_by or self._stopped_by
        self._usage = chunk.usage or self._usage
        return chunk

    def _token(self, chunk: Chunk) -> Token | None:
        if not (chunk.text or chunk.reasoning or chunk.calls):
            return None
        reasoning = self._thought.feed(chunk.reasoning)
        if reasoning and self._thinking and not self._inside:
            # The server tells thoughts apart itself by now.
            self._thinking, self._splitter = False, ReasoningSplitter()
        split = self._splitter.feed(text) if (text := self._text.feed(chunk.text)) else Split()
        if self._thinking and self._splitter.open and not reasoning:
            self._inside.append(split.reasoning)
        calls = self._calls.read(chunk.calls) if chunk.calls else None
        token = Token(split.text, calls or None, reasoning + split.reasoning, split.recants)
        if not (token.text or token.tool_calls or token.reasoning or token.recants):
            return None
        self.begun = True
        self._tally(token)
        return token

    def _tally(self, token: Token) -> None:
        if token.recants:
            self._reasoning_characters += self._characters
            self._characters = 0
        self._characters += len(token.text) + sum(call.size() for call in token.tool_calls or [])
        self._reasoning_characters += len(token.reasoning)

    def _counted(self, estimate: int) -> Usage:
        """Tokens as told; what is not told is estimated from characters."""
        characters = self._characters + self._reasoning_characters
        told = self._usage or Usage()
        written = told.completion_tokens or (
            max(1, characters // _CHARACTERS_A_TOKEN) if characters else 0
        )
        thought = told.reasoning_tokens
        if not thought and characters:
            thought = written * self._reasoning_characters // characters
        return Usage(told.prompt_tokens or estimate, written, min(thought, written))
