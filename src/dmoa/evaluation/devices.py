"""The devices of an experiment with pocket LLMs: in this process, or one process each."""

from collections.abc import Sequence

from dmoa.evaluation.arena import Arena, LiveArena, MemoryArena, OpenArena, all_or_none
from dmoa.evaluation.pocketqa import without_confidence
from dmoa.evaluation.whole import WholeAnswers
from dmoa.llm.interface import LLM
from dmoa.llm.llamacpp import LlamaCpp
from dmoa.llm.specification import make_llm


async def pocket_llm(name: str, *, hidden: bool = False) -> LLM:
    """A pocket LLM of this process; hidden: its answers do not say how sure they are."""
    made = await make_llm(f"pocket:{name}", name, threads=1)
    assert isinstance(made, LlamaCpp)
    return WholeAnswers(made, without_confidence) if hidden else WholeAnswers(made)


def pocket_devices(*, live: bool = False, hidden: bool = False) -> OpenArena:
    """Opens devices with the pocket LLMs that it is given the names of, one each.

    Args:
        live: a process each, with all of `dmoa up`; otherwise in this process.
        hidden: answers do not say how sure they are; not live.
    """

    async def open_arena(names: Sequence[str]) -> Arena:
        if live:
            return await LiveArena.open([f"pocket:{name}" for name in names])
        return await MemoryArena.open(
            await all_or_none([pocket_llm(name, hidden=hidden) for name in names])
        )

    return open_arena
