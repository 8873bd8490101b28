"""Ollama, in its own API: OpenAI's cannot set the window, say what a model can do, or keep it.

`/api/show` tells capabilities (completion, tools, thinking, vision, embedding), the window that
the model was trained for, and the Modelfile's `num_ctx`; `/api/ps` the window that a loaded model
has. Longer prompts are cut without a word, from the front, so what is really used counts, not
the model's best; `options.num_ctx` sets it. Answers come as a JSON object a line. `think` is
refused by models that do not think. tool_choice is not known to it.
"""

from typing import Any, ClassVar

import msgspec

from dmoa.llm.choosing import Model
from dmoa.llm.chunks import Chunk, count, ollama_chunk
from dmoa.llm.dialect import ASSUMED_CONTEXT, Description, Dialect, entries
from dmoa.llm.events import Event, parse
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities
from dmoa.llm.outgoing import Outgoing, takes
from dmoa.protocol.conversation import Message, part_kind, part_text, placeholder

# Parameters of the model runner; in OpenAI's words on the left.
_RENAMED = {"max_tokens": "num_predict", "max_completion_tokens": "num_predict"}
_OPTIONS = frozenset(
    {
        *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "stop"),
        *("presence_penalty", "frequency_penalty", "repeat_penalty", "repeat_last_n"),
        *("num_predict", "num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu"),
        *("num_thread", "use_mmap", "numa", "mirostat", "mirostat_eta", "mirostat_tau"),
        *("penalize_newline", "tfs_z"),
    }
)
_TOP = frozenset({"keep_alive", "think", "truncate", "shift", "logprobs", "top_logprobs"})


class Ollama(Dialect):
    """Ollama's server."""

    program: ClassVar[str] = "Ollama"
    port: ClassVar[int | None] = 11434
    order: ClassVar[int] = 25
    set_by: ClassVar[str] = "with --context"

    async def recognises(self, server: Server) -> bool:
        """By its version, or by its own list of models."""
        if isinstance((await server.facts("api/version")).get("version"), str):
            return True
        return any(_names(entry) for entry in entries(await server.look("api/tags"), "models"))

    async def is_node(self, server: Server) -> bool:
        """Nodes speak this dialect too, and say so in its own list of models."""
        tags = entries(await server.look("api/tags"), "models")
        return any(e.get("owned_by") == "dmoa" for e in tags) or await super().is_node(server)

    async def models(self, server: Server) -> list[Model]:
        """All that are on its disk; embedding models say so only in their details."""
        running = {
            name for e in entries(await server.look("api/ps"), "models") for name in _names(e)
        }
        found = entries(await server.look("api/tags"), "models")
        names = [str(entry.get("model") or entry.get("name")) for entry in found if _names(entry)]
        if not names:
            return await super().models(server)
        return [Model(name, loaded=name in running) for name in names]

    async def describe(self, server: Server, model: Model) -> Description:
        """Its details, and the window it has or will get."""
        shown = await server.ask("api/show", {"model": model.name})
        shown = shown if isinstance(shown, dict) else {}
        told = shown.get("capabilities")
        able = set(map(str, told)) if isinstance(told, list) else None
        running = entries(await server.ask("api/ps"), "models")
        window = next(
            (count(e.get("context_length")) for e in running if model.name in _names(e)), 0
        )
        return Description(
            window=window or _modelfile_window(shown) or ASSUMED_CONTEXT,
            most=_trained_window(shown),
            chat="completion" in able if able is not None else None,
            loaded=any(model.name in _names(entry) for entry in running),
            capabilities=Capabilities(
                vision="vision" in able,
                audio="audio" in able,
                tools="tools" in able,
                thinking="thinking" in able,
                formats=True,
            )
            if able is not None
            else Capabilities(),
        )

    def path(self, server: Server) -> str:
        """Its own."""
        return "api/chat"

    def request(self, outgoing: Outgoing) -> dict[str, Any]:
        """In its own words."""
        sampling = msgspec.to_builtins(outgoing.sampling)
        extra, thinking = sampling.pop("extra", {}), sampling.pop("thinking", {})
        given = {**outgoing.defaults, **sampling, **outgoing.always, **extra}
        options = given.pop("options", {})
        body: dict[str, Any] = {
            "model": outgoing.model,
            "messages": [_message(message, outgoing) for message in outgoing.messages],
            "stream": True,
        }
        options = dict(options) if isinstance(options, dict) else {}
        dropped = []
        for told, value in given.items():
            name = _RENAMED.get(told, told)
            if name in _OPTIONS:
                options.setdefault(name, value)
            elif name in _TOP:
                body[name] = value
            else:
                dropped.append(name)
        if outgoing.window is not None:
            options["num_ctx"] = outgoing.window
        if options:
            body["options"] = options
        if (think := _think(thinking)) is not None:
            body["think"] = think
        _constrain(body, outgoing, dropped)
        if dropped:
            outgoing.note(f"Ollama does not know {', '.join(sorted(dropped))}; left out")
        return body

    def chunk(self, event: Event) -> Chunk:
        """A line of its own stream."""
        return ollama_chunk(event.data)


def _names(entry: dict[str, Any]) -> set[str]:
    return {str(entry[key]) for key in ("model", "name") if entry.get(key)}


def _modelfile_window(shown: dict[str, Any]) -> int:
    for line in str(shown.get("parameters") or "").splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "num_ctx":
            return count(words[1])
    return 0


def _trained_window(shown: dict[str, Any]) -> int | None:
    info = shown.get("model_info")
    for name, value in info.items() if isinstance(info, dict) else ():
        if name.endswith(".context_length"):
            return count(value) or None
    return 2**31  # it does not say, so what the user says stands


def _think(switches: dict[str, Any]) -> bool | str | None:
    """Ollama's one switch, from everybody's."""
    if "think" in switches:
        return (
            bool(switches["think"]) if not isinstance(switches["think"], str) else switches["think"]
        )
    template = switches.get("chat_template_kwargs")
    for source in (switches, template if isinstance(template, dict) else {}):
        for name in ("enable_thinking", "thinking"):
            value = source.get(name)
            if isinstance(value, bool):
                return value
            if isinstance(value, dict):  # {"type": "enabled"}
                return value.get("type") != "disabled"
    effort = switches.get("reasoning_effort")
    reasoning = switches.get("reasoning")
    if effort is None and isinstance(reasoning, dict):
        effort = reasoning.get("effort")
    if effort in ("none", "minimal"):
        return False
    return effort if effort in ("low", "medium", "high") else None


def _constrain(body: dict[str, Any], outgoing: Outgoing, dropped: list[str]) -> None:
    constraints = outgoing.constraints
    if constraints is None:
        return
    choice = constraints.tool_choice
    tools = constraints.tools or []
    if isinstance(choice, dict):  # one function: it is offered no other
        wanted = (choice.get("function") or choice).get("name")
        tools = [t for t in tools if (t.get("function") or {}).get("name") == wanted] or tools
    if tools and choice != "none":
        body["tools"] = tools
    if choice not in (None, "auto", "none"):
        dropped.append("tool_choice")
    wanted_format = constraints.response_format or {}
    match wanted_format.get("type"):
        case "json_object":
            body["format"] = "json"
        case "json_schema":
            body["format"] = (wanted_format.get("json_schema") or {}).get("schema") or "json"


def _message(message: Message, outgoing: Outgoing) -> dict[str, Any]:
    """A message in its own form: images beside the text, arguments as objects."""
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.parts:
        texts, images = [], []
        for part in message.parts:
            if (text := part_text(part)) is not None:
                texts.append(text)
            elif image := _image(part) if takes(part_kind(part), outgoing.habits) else None:
                images.append(image)
            else:
                texts.append(stands := placeholder(part))
                outgoing.note(stands.strip("[]"))
        written["content"] = "\n".join(texts)
        if images:
            written["images"] = images
    if message.reasoning_content:
        written["thinking"] = message.reasoning_content
    if message.tool_calls:
        written["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.role == "tool":
        if message.tool_call_id:
            written["tool_call_id"] = message.tool_call_id
        if name := message.name or _name_of(message.tool_call_id, outgoing):
            written["tool_name"] = name
    return written


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        read = parse(arguments.encode("utf-8", "replace"))
        arguments = read if isinstance(read, dict) else {}
    written = {"name": function.get("name"), "arguments": arguments or {}}
    return {**({"id": call["id"]} if call.get("id") else {}), "function": written}


def _name_of(told: str | None, outgoing: Outgoing) -> str | None:
    """The function whose result a message is."""
    for message in outgoing.messages:
        for call in message.tool_calls or []:
            if told and call.get("id") == told:
                return (call.get("function") or {}).get("name")
    return None


def _image(part: dict[str, Any]) -> str | None:
    """The base64 of an image; Ollama fetches none by its address."""
    value = part.get("image_url")
    url = value.get("url") if isinstance(value, dict) else value
    if isinstance(url, str) and url.startswith("data:") and "," in url:
        return url.partition(",")[2]
    return None


DIALECT = Ollama()
