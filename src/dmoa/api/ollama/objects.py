"""What Ollama's API answers, with the `dmoa` object added."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from dmoa.api.ollama.request import OllamaCall
from dmoa.protocol.records import PromptRecord


class OllamaAnswer(msgspec.Struct, omit_defaults=True):
    """The message of an answer, or a piece of one."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    tool_calls: list[OllamaCall] | UnsetType = UNSET


class Timed(msgspec.Struct, kw_only=True):
    """An answer or a piece of one; durations are in nanoseconds.

    Attributes:
        done_reason: `stop`, `length`, `load` when nothing was asked.
        total_duration: from the prompt's coming to its end.
        prompt_eval_duration: until the last device began its answer: all layers.
        prompt_eval_count, eval_count: tokens read and written on all devices.
        eval_duration: of the last device's answer.
    """

    model: str
    created_at: str
    done: bool = False
    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET
    dmoa: PromptRecord | UnsetType = UNSET


class OllamaChat(Timed, kw_only=True):
    """What `/api/chat` answers."""

    message: OllamaAnswer


class OllamaGenerated(Timed, kw_only=True):
    """What `/api/generate` answers."""

    response: str = ""
    thinking: str | UnsetType = UNSET


class OllamaDetails(msgspec.Struct, frozen=True):
    """What kind of model it is: a committee, or a device's own."""

    parent_model: str = ""
    format: str = ""
    family: str = "dmoa"
    families: tuple[str, ...] = ("dmoa",)
    parameter_size: str = ""
    quantization_level: str = ""


class OllamaTag(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be asked for; `owned_by` says that no server of models is behind it."""

    name: str
    model: str
    modified_at: str
    size: int = 0
    digest: str = ""
    details: OllamaDetails = OllamaDetails()
    owned_by: str = "dmoa"


class OllamaTags(msgspec.Struct, frozen=True):
    """The models that can be asked for; `dmoa-mM-kK` exists for other M and k as well."""

    models: list[OllamaTag]


class OllamaRunning(msgspec.Struct, frozen=True, kw_only=True):
    """A model in memory."""

    name: str
    model: str
    expires_at: str
    context_length: int
    size: int = 0
    size_vram: int = 0
    digest: str = ""
    details: OllamaDetails = OllamaDetails()
    owned_by: str = "dmoa"


class OllamaProcesses(msgspec.Struct, frozen=True):
    """The models in memory."""

    models: list[OllamaRunning]


class OllamaShown(msgspec.Struct, frozen=True, kw_only=True):
    """Details of a model."""

    modified_at: str
    model_info: dict[str, Any]
    capabilities: list[str]
    details: OllamaDetails = OllamaDetails()
    parameters: str = ""
    template: str = ""
    license: str = ""
    owned_by: str = "dmoa"


class OllamaVersion(msgspec.Struct, frozen=True):
    """Version of Ollama's API that is spoken, which clients compare, and of dmoa."""

    version: str
    dmoa: str
