"""LLMs that follow a script: service times from a distribution, answers from a function.

For studies, where time per inference must be known, and for tests. On the command line:
`scripted:exponential,mean=0.1,seed=1,answer=TEXT`.
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import msgspec

from dmoa.errors import ContextExceeded, UsageError
from dmoa.llm.interface import End, ModelInfo, Token
from dmoa.llm.tokens import estimate_tokens
from dmoa.protocol.conversation import (
    Constraints,
    Message,
    Sampling,
    ToolCallPart,
    Usage,
    finish_reason,
)
from dmoa.protocol.packing import Pack, pack
from dmoa.protocol.reasoning import split_reasoning

MAX_PIECES = 8
DISTRIBUTIONS = ("deterministic", "exponential", "lognormal", "erlang")


class ScriptedAnswer(msgspec.Struct, frozen=True):
    """What a script answers when it is more than text.

    Attributes:
        text: the answer.
        reasoning: what it thinks before.
        tool_calls: whole calls, in OpenAI's format, made after the text.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = []


Respond = Callable[[Sequence[Message]], str | ScriptedAnswer]


class ScriptedLLM:
    """An LLM whose service times and answers are given; see `LLM`.

    Args:
        service_seconds: gives the next service time.
        respond: gives the answer to a prompt. Its words, thought ones first, are spread over
            the service time.
        name: what the model is called.
        context_length: tokens; longer prompts fail as they do with a real model.
    """

    def __init__(
        self,
        service_seconds: Callable[[], float],
        respond: Respond,
        *,
        name: str = "scripted",
        context_length: int = 8192,
    ) -> None:
        self.pack: Pack = pack
        self._service_seconds = service_seconds
        self._respond = respond
        self._info = ModelInfo(name, context_length)

    @property
    def info(self) -> ModelInfo:
        """See `LLM.info`."""
        return self._info

    async def count_tokens(
        self, messages: Sequence[Message], constraints: Constraints | None = None
    ) -> int:
        """See `LLM.count_tokens`."""
        return estimate_tokens(messages, constraints)

    async def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
    ) -> AsyncGenerator[Token | End, None]:
        """See `LLM.stream`."""
        needed = estimate_tokens(messages, constraints)
        if needed > self._info.context_length:
            raise ContextExceeded(needed, self._info.context_length)
        now = asyncio.get_running_loop().time
        started, seconds = now(), self._service_seconds()
        reply = self._respond(messages)
        if isinstance(reply, str):
            reply = ScriptedAnswer(reply)
        thought = reply.reasoning.split(" ") if reply.reasoning else []
        words = thought + (reply.text.split(" ") if reply.text or not thought else [])
        limit = sampling.max_tokens or len(words)
        whole = limit >= len(words)
        words = words[:limit]
        pieces = min(MAX_PIECES, len(words))
        for i in range(pieces):
            # Ends are absolute times, so that delays of the loop do not add up.
            if (delay := started + seconds * (i + 1) / pieces - now()) > 0:
                await asyncio.sleep(delay)
            first, last = len(words) * i // pieces, len(words) * (i + 1) // pieces
            yield _piece(words, first, last, len(thought))
        calls = _parts(reply.tool_calls) if whole else []
        if calls:
            yield Token("", calls)
        reason = "tool_calls" if calls else "stop" if whole else "length"
        usage = Usage(needed, len(words), min(len(thought), len(words)))
        yield End(finish_reason(reason), usage)

    async def close(self) -> None:
        """See `LLM.close`."""


def _piece(words: list[str], first: int, last: int, thought: int) -> Token:
    """Words `first` to `last` as a token; those before `thought` are reasoning."""
    middle = min(max(first, thought), last)
    return Token(
        _spaced(words[middle:last], middle > thought),
        reasoning=_spaced(words[first:middle], first > 0),
    )


def _spaced(words: list[str], follows: bool) -> str:
    return (" " if follows and words else "") + " ".join(words)


def _parts(calls: Sequence[dict[str, Any]]) -> list[ToolCallPart]:
    """Whole calls, each as one part."""
    return [
        msgspec.convert({"index": i, "type": "function", **call}, ToolCallPart)
        for i, call in enumerate(calls)
    ]


def from_script(script: str, device: str) -> ScriptedLLM:
    """The LLM that `scripted:SCRIPT` names on the command line.

    Args:
        script: a distribution, then `key=value` pairs: `mean` seconds, `cv` (lognormal),
            `stages` (erlang), `seed`, `context` tokens, and last `answer`, in which
            `<think>...</think>` is thought.
        device: name of the device; it is mixed into the seed, so that equal scripts on
            different devices draw different times.

    Raises:
        UsageError: the script makes no sense.
    """
    script, _, text = script.partition(",answer=")
    kind, *pairs = script.split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in ("mean", "cv", "stages", "seed", "context"):
            raise UsageError(
                f"scripted LLM: {pair!r} is not understood;"
                " write scripted:exponential,mean=0.1,seed=1,answer=TEXT"
            )
        options[key] = value
    try:
        mean, cv = float(options.get("mean", 0.1)), float(options.get("cv", 1.0))
        stages, seed = int(options.get("stages", 2)), int(options.get("seed", 0))
        context = int(options.get("context", 8192))
    except ValueError as error:
        raise UsageError(f"scripted LLM: {error}") from None
    if not (mean >= 0 and math.isfinite(mean) and cv > 0 and stages > 0 and context > 0):
        raise UsageError(
            f"scripted LLM: {script!r} has a number out of range; mean is seconds, 0 or more"
        )
    draw = service_times(kind, mean, random.Random(f"{seed}/{device}"), cv=cv, stages=stages)
    answer, reasoning = split_reasoning(text)
    reply = (
        ScriptedAnswer(answer, reasoning)
        if text
        else ScriptedAnswer(f"This is the scripted answer of {device}.")
    )
    return ScriptedLLM(draw, lambda _: reply, name="scripted", context_length=context)


def service_times(
    kind: str, mean: float, generator: random.Random, *, cv: float = 1.0, stages: int = 2
) -> Callable[[], float]:
    """A source of service times in seconds.

    Raises:
        UsageError: there is no such distribution.
    """
    if mean == 0:
        return lambda: 0.0
    match kind:
        case "deterministic":
            return lambda: mean
        case "exponential":
            return lambda: generator.expovariate(1 / mean)
        case "lognormal":
            variance = math.log(1 + cv * cv)
            return lambda: generator.lognormvariate(
                math.log(mean) - variance / 2, math.sqrt(variance)
            )
        case "erlang":
            return lambda: generator.gammavariate(stages, mean / stages)
        case _:
            raise UsageError(
                f"scripted LLM: {kind!r} is no distribution; take {', '.join(DISTRIBUTIONS)}"
            )
