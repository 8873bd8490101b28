"""Requests of Ollama's API."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dmoa.api.errors import ApiError
from dmoa.api.reading import left_out, message, switches
from dmoa.protocol.conversation import (
    Constraints,
    Message,
    Penalty,
    Sampling,
    Seed,
    Share,
    Stop,
    Stops,
    Temperature,
)

_MACHINE = frozenset(
    {
        *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "numa"),
        *("low_vram", "f16_kv", "use_mmap", "use_mlock", "vocab_only", "logits_all"),
        *("embedding_only", "draft_num_predict"),
    }
)
"""Options that say how a model is run, which is every device's own business."""


class Options(msgspec.Struct):
    """How tokens are drawn; other ones go to the own LLM as they are."""

    temperature: Temperature | None = None
    top_p: Share | None = None
    num_predict: Annotated[int, Meta(ge=-2, le=2**20)] | None = None
    stop: Stops | Stop | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None


class OllamaFunction(msgspec.Struct):
    """A function that is called."""

    name: str
    arguments: dict[str, Any] = {}


class OllamaCall(msgspec.Struct, omit_defaults=True):
    """A call of a tool; older servers and clients know no id."""

    function: OllamaFunction
    id: str | None = None


class OllamaMessage(msgspec.Struct):
    """A message; images are base64."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: list[str] | None = None
    tool_calls: list[OllamaCall] | None = None
    thinking: str | None = None
    tool_name: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


class OllamaRequest(msgspec.Struct, kw_only=True):
    """What all requests for answers have."""

    model: str
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    think: bool | str | None = None
    keep_alive: Any = None
    unknown: dict[str, Any] = {}

    @property
    def streamed(self) -> bool:
        """Unless it is said otherwise."""
        return self.stream is not False

    def sampling(self) -> Sampling:
        """How tokens are drawn.

        Raises:
            ApiError: an option is out of range, or they are too long.
        """
        given = self.options or {}
        fields = Options.__struct_fields__
        try:
            options = msgspec.convert({n: v for n, v in given.items() if n in fields}, Options)
        except msgspec.ValidationError as error:
            raise ApiError(400, f"the options are not understood: {error}") from None
        others = {n: v for n, v in given.items() if n not in fields and n not in _MACHINE}
        thinking, extra = switches({**others, "think": self.think})
        limit = options.num_predict
        return Sampling(
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=limit if limit and limit > 0 else None,
            stop=[options.stop] if isinstance(options.stop, str) else options.stop or [],
            seed=options.seed,
            presence_penalty=options.presence_penalty,
            frequency_penalty=options.frequency_penalty,
            thinking=thinking,
            extra=extra,
        )

    def notes(self) -> list[str]:
        """What is left out."""
        names = sorted(_MACHINE & (self.options or {}).keys())
        said = f"{', '.join(names)}: how models are run is set at each device; left out"
        return [*([said] if names else []), *left_out(self.unknown)]

    def response_format(self) -> dict[str, Any] | None:
        """What the answer must look like, in the words of chat completions.

        Raises:
            ApiError: the format is not known.
        """
        match self.format:
            case None | "":
                return None
            case "json":
                return {"type": "json_object"}
            case dict(schema):
                return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        raise ApiError(400, f"format {str(self.format)[:60]!r}; send json, or a JSON schema")


class OllamaChatRequest(OllamaRequest, kw_only=True):
    """A conversation to answer."""

    messages: list[OllamaMessage] | None = None
    tools: list[dict[str, Any]] | None = None

    def conversation(self) -> list[Message]:
        """The messages; results of tools find their calls by id, name or order."""
        read: list[Message] = []
        open_calls: list[tuple[str, str]] = []  # id and name of calls without a result
        count = 0
        for said in self.messages or []:
            calls = []
            for call in said.tool_calls or []:
                name, count = call.id or f"call_{count}", count + 1
                arguments = msgspec.json.encode(call.function.arguments).decode()
                function = {"name": call.function.name, "arguments": arguments}
                calls.append({"id": name, "type": "function", "function": function})
                open_calls.append((name, call.function.name))
            call_id = None
            if said.role == "tool":
                call_id = _called(said, open_calls)
            read.append(
                message(
                    said.role,
                    content(said.content or "", said.images),
                    tool_calls=calls or None,
                    tool_call_id=call_id,
                    reasoning_content=said.thinking or None,
                )
            )
        return read

    def constraints(self) -> Constraints | None:
        """What the answer must look like.

        Raises:
            ApiError: the format is not known.
        """
        wanted = self.response_format()
        if not self.tools and wanted is None:
            return None
        return Constraints(self.tools or None, None, wanted)


def _called(said: OllamaMessage, open_calls: list[tuple[str, str]]) -> str:
    """The id of the call whose result this is; the call is open no more."""
    name = said.tool_name or said.name
    for is_it in (
        lambda call: said.tool_call_id is not None and call[0] == said.tool_call_id,
        lambda call: name is not None and call[1] == name,
        lambda call: said.tool_call_id is None and name is None,
    ):
        for call in open_calls:
            if is_it(call):
                open_calls.remove(call)
                return call[0]
    return said.tool_call_id or f"call_{(name or 'unknown')[:40]}"


class OllamaGenerateRequest(OllamaRequest, kw_only=True):
    """A text to answer."""

    prompt: str = ""
    system: str | None = None
    images: list[str] | None = None
    suffix: str | None = None
    template: str | None = None
    raw: bool | None = None
    context: Any = None

    def conversation(self) -> list[Message]:
        """The messages.

        Raises:
            ApiError: more than an answer to a text is asked for.
        """
        for name in ("suffix", "template", "raw", "context"):
            if getattr(self, name):
                raise ApiError(
                    400, f"{name} is not known here: the model's own template is used; leave it out"
                )
        system = [message("system", self.system)] if self.system else []
        return [*system, message("user", content(self.prompt, self.images))]

    def constraints(self) -> Constraints | None:
        """What the answer must look like.

        Raises:
            ApiError: the format is not known.
        """
        wanted = self.response_format()
        return Constraints(response_format=wanted) if wanted else None


def plain_name(name: str, own: str) -> str:
    """A model as it is called here; Ollama's names without a tag mean `:latest`.

    Args:
        own: the device's own model.
    """
    return name if name == own else name.removesuffix(":latest")


class OllamaShowRequest(msgspec.Struct):
    """Of which model details are wanted."""

    model: str | None = None
    name: str | None = None
    verbose: bool | None = None


def content(text: str, images: list[str] | None) -> str | list[dict[str, Any]]:
    """A text and its images as OpenAI's parts."""
    if not images:
        return text
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    return parts + [{"type": "image_url", "image_url": {"url": _url(image)}} for image in images]


_KINDS = {"/9j/": "jpeg", "R0lG": "gif", "UklG": "webp"}


def _url(image: str) -> str:
    """An image's bytes as an address; its first letters tell its kind."""
    if image.startswith("data:"):
        return image
    return f"data:image/{_KINDS.get(image[:4], 'png')};base64,{image}"
