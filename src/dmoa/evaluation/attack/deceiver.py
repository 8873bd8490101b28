"""LLMs of an attacked network on PocketQA: honest ones that remember, and one that deceives."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, MutableMapping, Sequence

from dmoa.evaluation.attack.kinds import Attack, Item
from dmoa.llm.interface import LLM, End, ModelInfo, Token
from dmoa.llm.pocket import SURE
from dmoa.llm.tokens import estimate_tokens
from dmoa.protocol.conversation import Constraints, Message, Sampling, Usage

DRIP_SECONDS = 0.02
"""Between two pieces of an answer that never ends."""

Memory = MutableMapping[tuple[str, str], str]
"""Greedy replies by LLM and request: what was computed once serves all attacks."""


def sure(answer: str) -> str:
    """An answer as a pocket LLM puts it when it is sure."""
    return f"{answer}{SURE}"


async def reply_of(llm: LLM, memory: Memory, messages: Sequence[Message]) -> str:
    """The greedy reply of an LLM, from memory where it is there."""
    key = llm.info.name, "\n\n".join(message.content for message in messages)
    if key not in memory:
        stream = llm.stream(messages, Sampling(temperature=0.0))
        memory[key] = "".join([item.text async for item in stream if isinstance(item, Token)])
    return memory[key]


class Member:
    """An LLM of a network under attack; see `LLM`. Its own LLM is not closed with it.

    Args:
        llm: what it has.
        memory: of replies.
        attack: what it does; None if it is honest.
        items: the questions that it knows of, by their text.
        name: what it is called.
    """

    def __init__(
        self,
        llm: LLM,
        memory: Memory,
        attack: Attack | None = None,
        items: Mapping[str, Item] | None = None,
        name: str = "",
    ) -> None:
        self._llm = llm
        self._memory = memory
        self._attack = attack
        self._items = items or {}
        self._name = name or llm.info.name
        self.pack = llm.pack

    @property
    def info(self) -> ModelInfo:
        """See `LLM.info`."""
        return ModelInfo(self._name, self._llm.info.context_length)

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
        """See `LLM.stream`; greedy, whatever the sampling."""
        question, _, drafts = messages[-1].content.partition("\n")
        item = self._items.get(question)
        text: str | None
        if self._attack is None or item is None:
            text = await reply_of(self._llm, self._memory, messages)
        else:
            honest = ""
            if self._attack.copies:
                honest = await reply_of(self._llm, self._memory, messages)
            text = self._attack.says(item, bool(drafts), sure, honest)
        while text is None:
            await asyncio.sleep(DRIP_SECONDS)
            yield Token("Well, ")
        yield Token(text)
        yield End("stop", Usage(0, 0))

    async def close(self) -> None:
        """See `LLM.close`."""
