"""llama.cpp's own server, with one model or as a router of several.

`/props` tells the window of a slot, the modalities and the template; as a router it says
`"role": "router"`, lists all models with a status, and tells a model's properties by
`/props?model=NAME`. While a model loads every endpoint answers 503 "Loading model". Its
`/apply-template` and `/tokenize` count exactly.
"""

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from dmoa.llm.choosing import Model
from dmoa.llm.chunks import count
from dmoa.llm.dialect import Description, Dialect, listed, plain
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities
from dmoa.llm.outgoing import Outgoing
from dmoa.protocol.conversation import Constraints, Message


class LlamaCppServer(Dialect):
    """llama.cpp's server."""

    program: ClassVar[str] = "llama.cpp"
    port: ClassVar[int | None] = 8080
    order: ClassVar[int] = 10  # it answers at some of Ollama's paths too
    set_by: ClassVar[str] = "with its own flag -c"

    async def recognises(self, server: Server) -> bool:
        """By its properties."""
        props = await server.facts("props")
        return "default_generation_settings" in props or props.get("role") == "router"

    def model(self, entry: dict[str, Any]) -> Model:
        """A router says of each model whether it is loaded."""
        status = entry.get("status")
        value = status.get("value") if isinstance(status, dict) else None
        meta = entry.get("meta")
        window = count(meta.get("n_ctx")) if isinstance(meta, dict) else 0
        loaded = None if value is None else value in ("loaded", "sleeping")
        return Model(str(entry["id"]), loaded=loaded, window=window or None)

    async def describe(self, server: Server, model: Model) -> Description:
        """The properties of the model, or of the only one."""
        props: Any = await server.facts("props")
        if props.get("role") == "router":
            # Not `autoload`: looking at a model must not throw another one out.
            props = await server.ask(f"props?model={quote(model.name, safe='')}&autoload=false")
        props = props if isinstance(props, dict) else {}
        settings = props.get("default_generation_settings")
        window = count(settings.get("n_ctx")) if isinstance(settings, dict) else 0
        modalities = props.get("modalities")
        modalities = modalities if isinstance(modalities, dict) else {}
        able = props.get("chat_template_caps")
        able = able if isinstance(able, dict) else {}
        template = str(props.get("chat_template") or "")
        return Description(
            window=window or model.window,
            loaded=model.loaded,
            capabilities=Capabilities(
                vision=_flag(modalities.get("vision")),
                audio=_flag(modalities.get("audio")),
                tools=_flag(able.get("supports_tools")),
                thinking=("think" in template.lower()) if template else None,
                formats=True,  # by grammars, whatever the model
            ),
        )

    async def wake(self, server: Server, model: str) -> None:
        """A router without autoload wants to be told."""
        for entry in await listed(server):
            if entry.get("id") == model and self.model(entry).loaded is False:
                await server.ask("models/load", {"model": model})

    def request(self, outgoing: Outgoing) -> dict[str, Any]:
        """With progress, which shows that a long prompt is being read.

        Tools that the template has no place for are taken and left out without a word.
        """
        constraints = outgoing.constraints
        if constraints is not None and constraints.tools and outgoing.habits.tools is False:
            outgoing.note("the model's template has no place for tools, so it has not seen them")
        return {"return_progress": True, **super().request(outgoing)}

    async def count_tokens(
        self,
        server: Server,
        model: str,
        messages: Sequence[Message],
        constraints: Constraints | None,
    ) -> int | None:
        """The template applied, then tokenized."""
        shown = await server.ask(
            "apply-template", {"model": model, **plain(model, messages, constraints)}
        )
        prompt = shown.get("prompt") if isinstance(shown, dict) else None
        if not isinstance(prompt, str):
            return None
        counted = await server.ask(
            "tokenize",
            {"model": model, "content": prompt, "add_special": True, "parse_special": True},
        )
        tokens = counted.get("tokens") if isinstance(counted, dict) else None
        return len(tokens) if isinstance(tokens, list) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


DIALECT = LlamaCppServer()
