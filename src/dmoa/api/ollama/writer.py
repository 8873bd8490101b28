"""An answer as a JSON object a line, or as one object."""

import time
from typing import Any, ClassVar

from msgspec import UNSET

from dmoa.api.calls import arguments_of
from dmoa.api.errors import ApiError, ollama_error
from dmoa.api.ollama.objects import OllamaAnswer, OllamaChat, OllamaGenerated, Timed
from dmoa.api.ollama.request import OllamaCall, OllamaFunction
from dmoa.api.responses import whole_calls
from dmoa.api.writing import Writer, as_json, timestamp
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.records import PromptRecord


class OllamaWriter(Writer):
    """What is the same for both kinds of answers.

    Args:
        model: as the client called it.
    """

    media_type: ClassVar[str] = "application/x-ndjson"

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def line_of(self, text: str, thinking: str, finished: Finished | None) -> Timed:
        """A line; the last one if it is finished."""
        raise NotImplementedError

    def loaded(self) -> Timed:
        """The answer to a request that asks nothing."""
        line = self.line_of("", "", None)
        line.done, line.done_reason = True, "load"
        return line

    def whole(self, finished: Finished) -> Timed:
        """See `Writer.whole`."""
        return self.line_of(finished.text, finished.reasoning, finished)

    def piece(self, text: Text) -> str:
        """See `Writer.piece`; calls have no pieces here."""
        if not (text.text or text.reasoning):
            return ""
        return _line(self.line_of(text.text, text.reasoning, None))

    def end(self, finished: Finished) -> str:
        """See `Writer.end`."""
        return _line(self.line_of("", "", finished))

    def waiting(self) -> str:
        """An empty piece: clients know no comments."""
        return _line(self.line_of("", "", None))

    def broken(self, error: ApiError) -> str:
        """See `Writer.broken`."""
        return _line(ollama_error(error))

    def _common(self, finished: Finished | None) -> dict[str, Any]:
        common: dict[str, Any] = {"model": self._model, "created_at": timestamp(time.time())}
        if finished is None:
            return common
        reason = finished.finish_reason
        record = finished.record
        return {
            **common,
            "done": True,
            "done_reason": "length" if reason == "length" else "stop",
            **_durations(record),
            "prompt_eval_count": record.usage.prompt_tokens,
            "eval_count": record.usage.completion_tokens,
            "dmoa": record,
        }


class OllamaChatWriter(OllamaWriter):
    """Writes an answer of `/api/chat`."""

    def line_of(self, text: str, thinking: str, finished: Finished | None) -> OllamaChat:
        """See `OllamaWriter.line_of`."""
        calls = [
            OllamaCall(OllamaFunction(call.function.name, arguments_of(call.function)), call.id)
            for call in whole_calls((finished and finished.tool_calls) or [])
        ]
        message = OllamaAnswer("assistant", text, thinking or UNSET, calls or UNSET)
        return OllamaChat(message=message, **self._common(finished))


class OllamaGenerateWriter(OllamaWriter):
    """Writes an answer of `/api/generate`."""

    def line_of(self, text: str, thinking: str, finished: Finished | None) -> OllamaGenerated:
        """See `OllamaWriter.line_of`."""
        common = self._common(finished)
        return OllamaGenerated(response=text, thinking=thinking or UNSET, **common)


def _durations(record: PromptRecord) -> dict[str, int]:
    last = record.aggregator[-1] if record.aggregator else None
    total = record.seconds or 0.0
    # Clocks of several devices: what they measured must not be longer than the whole.
    answering = min((last.service_seconds or 0.0) if last else 0.0, total)
    before = last.asked_at + (last.queue_seconds or 0.0) if last else total
    return {
        "total_duration": _nanoseconds(total),
        "load_duration": 0,
        "prompt_eval_duration": _nanoseconds(min(before, total - answering)),
        "eval_duration": _nanoseconds(answering),
    }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _line(value: Any) -> str:
    return as_json(value) + "\n"
