"""The pocket LLMs: four models of a few MB each, trained on PocketQA, that ship with dmoa.

They speak one small format, learnt in training, and no other. A question is the whole user
message; drafts of other models follow it, one numbered line each:

    What is the capital of Brelia?
    1: Dranko, I am sure.
    2: Sheltin, but I am not sure.

The chat template in each GGUF file adds the last line, `A:`. That message must be the only
one: the template ignores earlier turns, but llama.cpp puts a system message in front of the
question, which then is none of PocketQA's. This module needs nothing of the evaluation, so
that the live network can use it.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dmoa.protocol.conversation import Message

NAMES = ("fern", "iris", "moss", "sage")
"""The models, in the order of their numbers in the training scripts."""

CONTEXT = 512
"""Tokens of the context window written into the GGUF files; training saw at most 160."""

TEMPERATURE = 0.7
"""Temperature of the published table; sampling is otherwise unrestricted (top_p 1, top_k 0)."""

MAX_TOKENS = 24
"""More than the longest answer needs."""

SURE = ", I am sure."
UNSURE = ", but I am not sure."
OUTSIDE = "I only know PocketQA."
"""The answer to a question from outside their world."""

_HERE = Path(__file__).parent


def path(name: str) -> Path:
    """The GGUF file of a pocket LLM.

    Raises:
        KeyError: there is no pocket LLM of that name.
    """
    if name not in NAMES:
        raise KeyError(f"no pocket LLM is called {name!r}; there are {', '.join(NAMES)}")
    return _HERE / f"{name}.gguf"


@cache
def card() -> dict[str, Any]:
    """What is known about the shipped files: seed, command, hashes, strengths."""
    card: dict[str, Any] = json.loads((_HERE / "pocket.json").read_text(encoding="utf-8"))
    return card


def pack(messages: Sequence[Message], drafts: Sequence[str], instruction: str) -> list[Message]:
    """How drafts are put into a prompt for these models, see `dmoa.protocol.packing.pack`.

    They have learnt single questions: the last message of the user is the question, and what
    else there is, the instruction included, would only confuse them.
    """
    asked = [message.content for message in messages if message.role == "user"]
    question = asked[-1] if asked else messages[-1].content
    return [Message(role="user", content=aggregation_prompt(question, drafts))]


def aggregation_prompt(question: str, drafts: Sequence[str]) -> str:
    """The user message that asks a pocket LLM to answer in the light of drafts.

    Drafts keep their wording: equal ones stay apart, because their number counts, and each
    is squeezed into one line, so that none can pose as several.
    """
    lines = [f"{i}: {' '.join(draft.split())}" for i, draft in enumerate(drafts, start=1)]
    return "\n".join([question, *lines])
