"""Tokens of a prompt, estimated from its length alone."""

from collections.abc import Sequence

import msgspec

from dmoa.protocol.conversation import Constraints, Message, part_kind

PART_TOKENS = 1200
"""For an image or a second of sound; models take from 85 to a few thousand for an image."""


def estimate_tokens(messages: Sequence[Message], constraints: Constraints | None = None) -> int:
    """More tokens than a prompt is likely to have.

    English has about four bytes a token with today's tokenizers; three leaves room for code
    and other languages. Tools and formats are part of the prompt.
    """
    tokens = 0
    for message in messages:
        size = message.size()
        if message.parts:  # not their base64, which no model reads as text
            size -= len(msgspec.json.encode(message.parts))
            tokens += PART_TOKENS * sum(part_kind(part) != "text" for part in message.parts)
        tokens += size // 3 + 8
    if constraints is not None:
        for described in (constraints.tools, constraints.response_format):
            tokens += len(msgspec.json.encode(described)) // 3 if described else 0
    return tokens
