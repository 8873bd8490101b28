"""A call of a function where the client demands one (`tool_choice`).

Many servers take the demand and do not obey: Ollama knows no such field, and llama.cpp leaves out
tools that a model's template has no place for. So the answer is looked at. Without a call it is
asked for once more, as JSON of a schema, which also a model can write that knows no tools.
"""

import secrets
from typing import Any

import msgspec

from dmoa.errors import RequestRefused
from dmoa.protocol.conversation import Constraints, FunctionPart, Message, ToolCallPart
from dmoa.protocol.forms import Form, form_of
from dmoa.protocol.tasks import Answer, Task

_DEMANDS = ("required", "any")

REPAIR = (
    "Your reply is refused: {fault}. Reply with one call, as a JSON object with the fields name and"
    " arguments, and nothing else. The functions are: {tools}"
)


class RequiredCall:
    """A call of one of some functions.

    Args:
        tools: the functions that may be called, as the client described them, by name.
    """

    def __init__(self, tools: dict[str, dict[str, Any]]) -> None:
        self._tools = tools

    def begins(self, parts: list[ToolCallPart] | None) -> bool:
        """Whether such a call begins with one of these parts."""
        return any(part.function and part.function.name in self._tools for part in parts or [])

    def check(self, answer: Answer) -> tuple[Answer, str | None]:
        """See `Form.check`; a call that is written out as the text counts as one.

        Prose that was cut is wrong, too: it went on until its length because nothing forced a call.
        """
        cut = answer.finish_reason == "length"
        if answer.finish_reason == "content_filter" or (cut and not _is_prose(answer)):
            return answer, None
        if not answer.tool_calls:
            text, fault = self._form().read(answer.text)
            if fault is None:
                return _as_call(answer, text), None
            where = f" within {answer.usage.completion_tokens} tokens" if cut else ""
            return answer, f"it calls none of {', '.join(self._tools)}{where}"
        named = [part.function.name for part in answer.tool_calls if part.function]
        for name in named:
            if name and name not in self._tools:
                return answer, f"it calls {name[:100]!r} and not {', '.join(self._tools)}"
        return answer, None

    def again(self, task: Task, answer: Answer, fault: str) -> Task:
        """See `Form.again`."""
        tools = msgspec.json.encode([tool["function"] for tool in self._tools.values()]).decode()
        schema = {"name": "call", "schema": self._schema()}
        return msgspec.structs.replace(
            task,
            id=secrets.token_hex(16),
            messages=[
                *task.messages,
                *([Message(role="assistant", content=answer.text)] if answer.text else []),
                Message(role="user", content=REPAIR.format(fault=fault, tools=tools)),
            ],
            constraints=Constraints(response_format={"type": "json_schema", "json_schema": schema}),
        )

    def _form(self) -> Form:
        return Form(self._schema())

    def _schema(self) -> dict[str, Any]:
        kinds = [_call_schema(name, tool["function"]) for name, tool in self._tools.items()]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def demand_of(constraints: Constraints | None) -> RequiredCall | Form | None:
    """What an answer must be or have; None if any will do.

    Raises:
        RequestRefused: the demand makes no sense.
    """
    if constraints is not None and (call := _required_call(constraints)) is not None:
        return call
    return form_of(constraints)


def _required_call(constraints: Constraints) -> RequiredCall | None:
    tools = {}
    for tool in constraints.tools or []:
        function = tool.get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            tools[function["name"]] = tool
    choice = constraints.tool_choice
    if not tools or choice in (None, "auto", "none"):
        return None
    if choice in _DEMANDS:
        return RequiredCall(tools)
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        return None  # of a kind that only the server knows
    if name not in tools:
        raise RequestRefused(
            400, f"tool_choice: there is no tool {name[:100]!r}; there are {', '.join(tools)}"
        )
    return RequiredCall({name: tools[name]})


def _call_schema(name: str, function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("parameters")
    if not _stands_alone(arguments):
        arguments = {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _is_prose(answer: Answer) -> bool:
    return bool(answer.text) and not answer.tool_calls


def _stands_alone(schema: Any) -> bool:
    """Whether it is a schema that means the same inside of another one."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return False
    if '"$ref"' in msgspec.json.encode(schema).decode():
        return False
    try:
        Form(schema)
    except RequestRefused:
        return False
    return True


def _as_call(answer: Answer, text: str) -> Answer:
    call = msgspec.json.decode(text)
    arguments = msgspec.json.encode(call["arguments"]).decode()
    part = ToolCallPart(
        0,
        secrets.token_hex(5)[:9],
        "function",
        FunctionPart(call["name"], arguments),
    )
    return msgspec.structs.replace(answer, text="", tool_calls=[part], finish_reason="tool_calls")
