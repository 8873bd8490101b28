"""A GGUF file as a device's LLM: llama.cpp in this process, by `xllamacpp`.

llama.cpp brings an HTTP server of its own. It listens on a free loopback port with a random
key, so that nobody else uses it, and is talked to like any other server.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmoa.errors import LLMError, UsageError
from dmoa.llm.interface import End
from dmoa.llm.upstream import Upstream
from dmoa.protocol.conversation import Message, Sampling, Usage
from dmoa.protocol.packing import Pack, pack

DEFAULT_CONTEXT = 4096
# Work on a prompt can be cancelled between batches; small ones cost no speed on CPUs.
BATCH_TOKENS = 64
_MAGIC = b"GGUF"


class LlamaCpp(Upstream):
    """A model that llama.cpp runs in this process; see `LLM`."""

    _server_object: object = None

    @classmethod
    async def load(
        cls,
        path: Path,
        *,
        name: str | None = None,
        context_length: int | None = None,
        threads: int | None = None,
        pack: Pack = pack,
        defaults: Mapping[str, Any] | None = None,
        always: Mapping[str, Any] | None = None,
    ) -> "LlamaCpp":
        """Load a GGUF file.

        Args:
            path: the file.
            name: what the model is called; by default the file's name.
            context_length: tokens to make room for.
            threads: CPU threads; by default half of the processors.
            pack: how drafts are put into a prompt.
            defaults: OpenAI's parameters for requests that leave them open.
            always: llama.cpp's own parameters, sent with each request.

        Raises:
            UsageError: the file is absent or broken, or `xllamacpp` is not installed.
        """
        check_file(path)
        key = secrets.token_urlsafe(24)
        server, address = await asyncio.to_thread(
            _start, path, key, context_length or DEFAULT_CONTEXT, threads or default_threads()
        )
        llm = await cls.connect(
            f"{address}/v1",
            None,
            key=key,
            name=name or path.stem,
            pack=pack,
            # Cached prompts make results depend on what came before.
            defaults=defaults,
            always={"cache_prompt": False, **(always or {})},
        )
        llm._server_object = server
        return llm

    async def whole(self, messages: Sequence[Message], sampling: Sampling) -> tuple[str, End]:
        """A whole response at once, without HTTP: for studies of many short answers.

        It takes a third of the processor time of `stream`, and cannot be cancelled.

        Raises:
            LLMError: llama.cpp refuses, for example because the prompt is too long.
        """
        outgoing = await self._outgoing(messages, sampling, None)
        request = {**self.dialect.request(outgoing), "stream": False}
        for name in ("stream_options", "return_progress"):
            request.pop(name, None)
        server: Any = self._server_object
        reply = await asyncio.to_thread(server.handle_chat_completions, request)
        if not reply.get("choices"):
            raise LLMError(f"{self.info.name} failed: {str(reply)[:300]}")
        choice, usage = reply["choices"][0], reply["usage"]
        counts = Usage(usage["prompt_tokens"], usage["completion_tokens"])
        return choice["message"]["content"] or "", End(choice["finish_reason"], counts)

    async def close(self) -> None:
        """Close the connection, then free the model."""
        await super().close()
        server, self._server_object = self._server_object, None
        # Its destructor waits for llama.cpp's threads.
        await asyncio.to_thread(lambda box: box.clear(), [server])


def default_threads() -> int:
    """Half of the processors: one device per machine should leave its user some."""
    return max(1, (os.cpu_count() or 1) // 2)


def check_file(path: Path) -> None:
    """Find out what llama.cpp would not say.

    Raises:
        UsageError: the file is absent, unreadable or no GGUF file.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise UsageError(
            f"cannot read the model file {path}: {error.strerror};"
            " give a path to a GGUF file, or --llm smollm2"
        ) from None
    if magic != _MAGIC:
        raise UsageError(f"{path} is no GGUF file; download the model again in GGUF format")


def _start(path: Path, key: str, context_length: int, threads: int) -> tuple[object, str]:
    try:
        import xllamacpp
    except ImportError:
        raise UsageError(
            "running a GGUF file needs llama.cpp: pip install 'dmoa[llamacpp]', or use an LLM"
            " server by --llm openai:URL#MODEL"
        ) from None
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context_length
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.warmup = False
    params.verbosity = 0
    params.ui = False
    params.api_keys = [key]
    # Vectors beside answers, which stay the same. The last token's: the others want a text in one
    # batch, and by default models that chat have none.
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise UsageError(
            f"llama.cpp cannot load {path} ({error}): the file is broken or of a kind that this"
            " version does not know, or memory is short; download it again, or use a smaller one"
        ) from None
    return server, server.listening_address
