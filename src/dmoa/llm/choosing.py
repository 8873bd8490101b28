"""Which of a server's models a device runs."""

import re
from collections.abc import Sequence

import msgspec

from dmoa.errors import UsageError

# Names of models that embed, rank, hear, speak or draw, and cannot answer.
_CANNOT_CHAT = re.compile(
    r"embed|minilm|mpnet|rerank|whisper|\bbge\b|\bgte\b|\be5\b|colbert|\bsplade|labse|sentence-|"
    r"roberta|(?:^|[/\-_])(?:distil|modern|al|nomic-)?bert\b|paraphrase|multi-qa"
    r"|\btts\b|text-to-speech|kokoro|parakeet|speecht5|\bbark\b|stable-diffusion|\bsdxl?\b|\bflux\b"
    r"|dall-?e|imagen?\b|\bclip\b|siglip|moderation|llama-?guard|shieldgemma|prompt-guard"
    r"|transcribe|realtime|\bvae\b|mmproj",
    re.IGNORECASE,
)


class Model(msgspec.Struct, frozen=True):
    """A model that a server lists.

    Attributes:
        name: as the server wants to hear it.
        chat: whether it can answer; None where the server does not say.
        loaded: whether it is in memory; None where the server does not say.
        window: tokens of its context window, if the server says so here.
    """

    name: str
    chat: bool | None = None
    loaded: bool | None = None
    window: int | None = None

    def can_chat(self) -> bool:
        """What the server says, or else what the name looks like."""
        return self.chat if self.chat is not None else not _CANNOT_CHAT.search(self.name)


def candidates(models: Sequence[Model]) -> list[Model]:
    """Those that can chat, best first: loaded ones before others."""
    able = [model for model in models if model.can_chat()]
    return sorted(able, key=lambda model: model.loaded is not True)


def named(models: Sequence[Model], name: str, url: str) -> Model:
    """The model that a user means: by its whole name, without its tag or without its owner.

    Raises:
        UsageError: there is none, or several; says which there are.
    """
    for same in (_exactly, _in_any_case, _latest, _without_owner, _without_tag):
        found = [model for model in models if same(model.name, name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{url} has several models {name!r}: {_names(found)}; name one whole")
    raise UsageError(f"{url} has no model {name!r}; it has {_names(models)}")


def _names(models: Sequence[Model]) -> str:
    return ", ".join(sorted(model.name for model in models)[:20])


def _exactly(model: str, name: str) -> bool:
    return model == name


def _in_any_case(model: str, name: str) -> bool:
    return model.lower() == name.lower()


def _latest(model: str, name: str) -> bool:
    return model.lower() == f"{name.lower()}:latest"


def _without_owner(model: str, name: str) -> bool:
    short = re.split(r"[/\\]", model.lower())[-1]
    return name.lower() in (short, short.removesuffix(".gguf"))


def _without_tag(model: str, name: str) -> bool:
    return model.lower().partition(":")[0] == name.lower()
