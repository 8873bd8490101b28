"""LLMs for experiments: llama.cpp in this process without HTTP, answers in one piece."""

from collections.abc import AsyncGenerator, Callable, Sequence

from dmoa.llm.interface import End, ModelInfo, Token
from dmoa.llm.llamacpp import LlamaCpp
from dmoa.llm.tokens import estimate_tokens
from dmoa.protocol.conversation import Constraints, Message, Sampling


class WholeAnswers:
    """A llama.cpp model that is asked for whole answers; see `LLM`.

    Args:
        llm: the model; closed with this.
        edit: changes each answer, for example by hiding how sure it is.
    """

    def __init__(self, llm: LlamaCpp, edit: Callable[[str], str] = lambda text: text) -> None:
        self._llm = llm
        self._edit = edit
        self.pack = llm.pack

    @property
    def info(self) -> ModelInfo:
        """See `LLM.info`."""
        return self._llm.info

    async def count_tokens(
        self, messages: Sequence[Message], constraints: Constraints | None = None
    ) -> int:
        """See `LLM.count_tokens`; an estimate, which these short prompts can afford."""
        return estimate_tokens(messages, constraints)

    async def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
    ) -> AsyncGenerator[Token | End, None]:
        """See `LLM.stream`; one token holds the whole answer."""
        text, end = await self._llm.whole(messages, sampling)
        yield Token(self._edit(text))
        yield end

    async def close(self) -> None:
        """See `LLM.close`."""
        await self._llm.close()
