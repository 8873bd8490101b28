"""What `--llm` says, turned into an LLM."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from dmoa.errors import UsageError
from dmoa.llm import builtin
from dmoa.llm.interface import LLM

WAIT_SECONDS = 45.0
FORMS = "smollm2, pocket:NAME, a path to a GGUF file, hf:OWNER/REPO/FILE.gguf, or openai:URL#MODEL"


async def make_llm(
    specification: str,
    device: str,
    *,
    context_length: int | None = None,
    threads: int | None = None,
    wait_seconds: float = WAIT_SECONDS,
    say: Callable[[str], None] = lambda line: None,
) -> LLM:
    """Load or connect the LLM that a specification names.

    Args:
        specification: one of `FORMS`, `scripted:...`, or `recorded:PATH`.
        device: the device's name.
        context_length: tokens, when the user wants another window than the model's default.
        threads: CPU threads for a model in this process.
        wait_seconds: how long a server that does not answer yet is waited for.
        say: is told what goes on.

    Raises:
        UsageError: the specification names nothing that is there.
        LLMUnavailable: the LLM cannot be reached.
    """
    kind, colon, rest = specification.partition(":")
    if specification in builtin.MODELS:
        path = await asyncio.to_thread(builtin.get, specification, say)
        return await _gguf(path, specification, context_length, threads)
    if kind == "pocket" and colon:
        return await _pocket(rest, threads)
    if kind == "scripted" and colon:
        from dmoa.llm.scripted import from_script

        return from_script(rest, device)
    if kind == "recorded" and colon:
        from dmoa.llm.recorded import replay

        return await asyncio.to_thread(replay, Path(rest).expanduser())
    if kind == "openai" and colon:
        from dmoa.llm.upstream import Upstream

        url, _, model = rest.partition("#")
        say(f"connecting to {url} ...")
        llm = await Upstream.connect(
            url,
            model or None,
            key=os.environ.get("DMOA_LLM_KEY"),
            context_length=context_length,
            wait_seconds=wait_seconds,
            say=say,
        )
        say(f"{llm.dialect.program} with {llm.info.name}, {llm.info.context_length} tokens")
        return llm
    if kind == "hf" and colon:
        from dmoa.llm import hub

        say(f"looking for {rest} ...")
        return await _gguf(await asyncio.to_thread(hub.fetch, rest), None, context_length, threads)
    path = Path(specification).expanduser()
    if path.exists() or specification.endswith(".gguf"):
        return await _gguf(path, None, context_length, threads)
    raise UsageError(f"--llm {specification!r} is not understood; give {FORMS}")


async def _pocket(name: str, threads: int | None) -> LLM:
    from dmoa.llm import pocket
    from dmoa.llm.llamacpp import LlamaCpp

    if name not in pocket.NAMES:
        raise UsageError(
            f"--llm pocket:{name}: there is no pocket LLM of that name;"
            f" there are {', '.join(pocket.NAMES)}"
        )
    return await LlamaCpp.load(
        pocket.path(name),
        name=f"pocket:{name}",
        context_length=pocket.CONTEXT,
        threads=threads or 1,
        pack=pocket.pack,
        defaults={"temperature": pocket.TEMPERATURE, "max_tokens": pocket.MAX_TOKENS, "top_p": 1.0},
        always={"top_k": 0, "min_p": 0.0},
    )


async def _gguf(
    path: Path, name: str | None, context_length: int | None, threads: int | None
) -> LLM:
    from dmoa.llm.llamacpp import LlamaCpp

    return await LlamaCpp.load(path, name=name, context_length=context_length, threads=threads)
