"""What chat programs ask on their own account: titles, tags, follow-up questions.

A committee would spend the network's inferences on what nobody reads twice, so such requests go to
the own LLM alone (the setting `background`). They are told by their words: Open WebUI's templates
begin with `### Task:`; others (LibreChat, opencode, Zed, Cherry Studio, Claude Code) ask to title
or summarise "this conversation" in a system message or a single user message.
"""

import re
from collections.abc import Sequence

from dmoa.protocol.conversation import Message

_LOOKED_AT = 600  # characters of a message; templates say at once what they want

_CHAT = r"(?:chat|conversation|session|thread|history|dialog(?:ue)?|messages?)"
_TASKS = {
    "a title": re.compile(
        rf"(?:\btitle\b.{{0,200}}\b{_CHAT}\b|\b{_CHAT}\b.{{0,200}}\btitle\b|\btitle generator\b)",
        re.IGNORECASE | re.DOTALL,
    ),
    "tags": re.compile(rf"\btags?\b.{{0,200}}\b{_CHAT}\b", re.IGNORECASE | re.DOTALL),
    "follow-up questions": re.compile(
        rf"\bfollow[- ]?ups?\b.{{0,300}}\b{_CHAT}\b"
        rf"|\b{_CHAT}\b.{{0,300}}\bfollow[- ]?up questions\b",
        re.IGNORECASE | re.DOTALL,
    ),
    "search queries": re.compile(
        rf"\bsearch quer(?:y|ies)\b.{{0,300}}\b{_CHAT}\b"
        rf"|\b{_CHAT}\b.{{0,300}}\bsearch quer(?:y|ies)\b",
        re.IGNORECASE | re.DOTALL,
    ),
    "a completion of what is typed": re.compile(r"\bautocompletion system\b", re.IGNORECASE),
}
_WANTS = re.compile(
    r"\b(?:generate|create|write|provide|suggest|give|summari[sz]e|analy[sz]e|produce|output"
    r"|categori[sz]e|come up|you are)\b",
    re.IGNORECASE,
)
_TEMPLATE = "### Task:"


def background_task(messages: Sequence[Message]) -> str | None:
    """What a chat program wants for itself; None for what its user asks.

    Args:
        messages: the conversation.
    """
    users = [message.content for message in messages if message.role == "user"]
    if len(users) > 2:
        return None  # a conversation goes on
    asked = [users[-1]] if users and users[-1].lstrip().startswith(_TEMPLATE) else []
    if not asked and not any(message.role == "assistant" for message in messages):
        asked = [m.content for m in messages if m.role in ("system", "developer")] + users[:1]
        asked = [text for text in asked if _is_instruction(text)]
    for text in asked:
        for name, pattern in _TASKS.items():
            if pattern.search(text[:_LOOKED_AT]):
                return name
    return None


def _is_instruction(text: str) -> bool:
    return _WANTS.search(text[:_LOOKED_AT]) is not None
