"""What a model's server takes and what not, learnt from its refusals and kept.

A chat template may know no system role, or one leading system message only, or want user and
assistant in turns; a server may want another name for a parameter. Each is learnt once, by one
refused request that cost no inference, and only kept when the changed request is taken.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from dmoa.llm.faults import Fault
from dmoa.protocol.conversation import Message, part_kind

# Templates add what no estimate knows: a date, a default system message.
_ROOMS = (64, 512)
_ROLES = re.compile(
    r"system|developer|\broles?\b|alternat|first message|conversation must|chat.?template|jinja",
    re.IGNORECASE,
)
_ALTERNATE = re.compile(r"alternat|consecutive", re.IGNORECASE)
_OTHER = re.compile(
    r"\btools?\b|schema|grammar|response_format|max_(?:completion_)?tokens|image|audio",
    re.IGNORECASE,
)
_VISION = re.compile(r"image|vision|multi-?modal|mmproj", re.IGNORECASE)
_AUDIO = re.compile(r"audio|multi-?modal|mmproj", re.IGNORECASE)
_PARTS = re.compile(r"content\b.{0,60}\bstr(?:ing)?\b|str(?:ing)?\b.{0,60}\bcontent", re.IGNORECASE)
_RENAMED = re.compile(r"unsupported|not supported|instead|deprecated|not permitted", re.IGNORECASE)


class Habits(msgspec.Struct, frozen=True):
    """What a server takes for a model.

    Attributes:
        system: system messages anywhere, only one and first, or none.
        alternate: user and assistant must take turns.
        images: whether it takes images; None until it is known.
        audio: the same of sound.
        tools: whether the model's template has a place for them; None until it is known.
        stream_options: whether it knows that parameter.
        limit_name: what it calls the bound of an answer.
        room: it refuses a `max_tokens` that its window has no room for; so many tokens are left
            free beside it, more where prompts are only estimated. None: it lowers it itself.
        output_limit: the most output tokens that it says it gives.
    """

    system: Literal["anywhere", "first", "none"] = "anywhere"
    alternate: bool = False
    images: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    stream_options: bool = True
    limit_name: str = "max_tokens"
    room: int | None = None
    output_limit: int | None = None

    def learn(self, fault: Fault, messages: Sequence[Message]) -> "Habits | None":
        """Habits under which a refused request may be taken; None when nothing suggests any.

        Args:
            fault: the refusal.
            messages: as they were arranged under these habits.
        """
        if fault.kind == "output":
            if fault.limit is not None:
                return self._changed(output_limit=fault.limit)
            wider = next((room for room in _ROOMS if room > (self.room or 0)), self.room)
            return self._changed(room=wider)
        if fault.kind not in ("refused", "broken") or fault.status not in (400, 404, 422, 500):
            return None
        words = fault.words
        if "stream_options" in words:
            return self._changed(stream_options=False)
        if re.search("max_(?:completion_)?tokens", words) and _RENAMED.search(words):
            other = words.find("max_completion_tokens")
            wanted = "max_completion_tokens" if self.limit_name == "max_tokens" else "max_tokens"
            return self._changed(limit_name=wanted) if other >= 0 else None
        kinds = {part_kind(part) for message in messages for part in message.parts or []}
        if "image" in kinds and (_VISION.search(words) or _PARTS.search(words)):
            return self._changed(images=False)
        if "audio" in kinds and (_AUDIO.search(words) or _PARTS.search(words)):
            return self._changed(audio=False)
        return self._learn_roles(words, messages)

    def _learn_roles(self, words: str, messages: Sequence[Message]) -> "Habits | None":
        if not _ROLES.search(words) or _OTHER.search(words):
            return None
        roles = [message.role for message in messages]
        turns = bool(_ALTERNATE.search(words))
        if turns and (_twice(roles) or "system" not in roles):
            return self._changed(alternate=True)
        if "system" in roles[1:] and self.system == "anywhere":
            return self._changed(system="first")
        if "system" in roles:
            # The instruction moves into a user message, which may then stand beside another.
            return self._changed(system="none", alternate=self.alternate or turns)
        return self._changed(alternate=True) if _twice(roles) else None

    def _changed(self, **changes: object) -> "Habits | None":
        changed = msgspec.structs.replace(self, **changes)
        return changed if changed != self else None


def _twice(roles: Sequence[str]) -> bool:
    pairs = itertools.pairwise(roles)
    return any(first == second and first in ("user", "assistant") for first, second in pairs)
