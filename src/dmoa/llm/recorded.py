"""An LLM that replays published outputs of a real model for known prompts.

For studies of first layers, selection and diversity with published judgements and no API
key. On the command line: `recorded:PATH`, a file of outputs in AlpacaEval's formats.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from dmoa.errors import LLMError
from dmoa.llm.annotations import read_annotations
from dmoa.llm.scripted import ScriptedLLM
from dmoa.protocol.conversation import Message

CONTEXT_LENGTH = 1 << 20  # nothing is read, so any prompt fits


def replay(path: Path, service_seconds: Callable[[], float] = lambda: 0.0) -> ScriptedLLM:
    """The recorded model of a file.

    Args:
        path: outputs of one model, official JSON or JSON lines, plain or gzipped.
        service_seconds: gives the next service time.

    Returns:
        An LLM named as the file's `generator`. It answers a conversation of exactly one
        user message that the file has, word for word; anything else is an `LLMError`,
        aggregation too: nobody recorded what the model makes of drafts.

    Raises:
        UsageError: the file cannot be read.
    """
    rows = read_annotations(path)
    outputs = {row.instruction: row.output for row in rows}
    name = rows[0].generator or path.name

    def respond(messages: Sequence[Message]) -> str:
        if len(messages) != 1 or messages[0].role != "user":
            raise LLMError(
                f"{name} is recorded and answers single prompts only, without system messages"
                " or drafts; use M = 1 with -select"
            )
        prompt = messages[0].content
        if prompt not in outputs:
            raise LLMError(
                f"{name} is recorded and has no output for {prompt[:60]!r};"
                f" {path} has {len(outputs)} prompts"
            )
        return outputs[prompt]

    return ScriptedLLM(service_seconds, respond, name=name, context_length=CONTEXT_LENGTH)
