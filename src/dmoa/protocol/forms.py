"""What the form of an answer must be, and whether an answer has it.

Servers that know formats keep to them while they write; of others the answer is looked at, asked
for once more when it is wrong, and never passed on as if it were right.
"""

import json
import re
import secrets
from typing import Any

import msgspec

from dmoa.errors import RequestRefused
from dmoa.protocol.conversation import Constraints, Message
from dmoa.protocol.tasks import Answer, Task

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL | re.IGNORECASE)
_SHOWN_CHARACTERS = 300

REPAIR = (
    "Your reply does not have the form that was asked for: {fault}. Write the whole reply again in"
    " that form, and nothing else."
)


class Form:
    """JSON of a schema, or any JSON object.

    Args:
        schema: as `jsonschema` reads it; None for any object.

    Raises:
        RequestRefused: it is no schema, or refers to what is elsewhere.
    """

    def __init__(self, schema: dict[str, Any] | None) -> None:
        self._validator: Any = None
        if schema is not None:
            self._validator = _validator(schema)

    def check(self, answer: Answer) -> tuple[Answer, str | None]:
        """The answer as it should be, and what is wrong with it; what was cut is passed on."""
        if answer.finish_reason != "stop" or answer.tool_calls:
            return answer, None
        text, fault = self.read(answer.text)
        return msgspec.structs.replace(answer, text=text), fault

    def again(self, task: Task, answer: Answer, fault: str) -> Task:
        """The task once more, with what was wrong."""
        messages = [
            *task.messages,
            Message(role="assistant", content=answer.text),
            Message(role="user", content=REPAIR.format(fault=fault)),
        ]
        return msgspec.structs.replace(task, id=secrets.token_hex(16), messages=messages)

    def read(self, text: str) -> tuple[str, str | None]:
        """An answer, without the fence that models put around JSON, and what is wrong with it."""
        if fenced := _FENCED.match(text):
            text = fenced[1]
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            return text, f"it is no JSON ({error})"
        if self._validator is None:
            return text, None if isinstance(value, dict) else "it is no JSON object"
        try:
            fault = next(self._validator.iter_errors(value), None)
        except RecursionError:
            return text, "it is nested too deeply"
        if fault is None:
            return text, None
        where = f" at {fault.json_path}" if fault.json_path != "$" else ""
        return text, f"{fault.message[:_SHOWN_CHARACTERS]}{where}"


def form_of(constraints: Constraints | None) -> Form | None:
    """The form that constraints ask for; None if any text will do.

    Raises:
        RequestRefused: the format makes no sense.
    """
    wanted = None if constraints is None else constraints.response_format
    if not wanted:
        return None
    match wanted.get("type"):
        case "text":
            return None
        case "json_object":
            return Form(_schema(wanted.get("schema")))
        case "json_schema":
            inside = wanted.get("json_schema")
            schema = inside.get("schema") if isinstance(inside, dict) else wanted.get("schema")
            if schema is None:
                raise RequestRefused(400, "response_format: a json_schema needs its schema")
            return Form(_schema(schema))
        case _:
            return None  # a grammar or the like, which only the server knows


def _schema(schema: Any) -> dict[str, Any] | None:
    if schema is None or isinstance(schema, dict):
        return schema
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    raise RequestRefused(400, f"response_format: the schema is a {type(schema).__name__}")


def _validator(schema: dict[str, Any]) -> Any:
    import jsonschema
    import referencing.exceptions
    from jsonschema.validators import validator_for

    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        validator = kind(schema)
        # Finds what it refers to; nothing is fetched for it.
        next(validator.iter_errors({}), None)
    except jsonschema.SchemaError as error:
        raise RequestRefused(
            400, f"response_format: {error.message[:_SHOWN_CHARACTERS]} in the schema"
        ) from None
    except (referencing.exceptions.Unresolvable, RecursionError) as error:
        raise RequestRefused(
            400, f"response_format: the schema refers to what it does not hold ({error})"
        ) from None
    return validator
