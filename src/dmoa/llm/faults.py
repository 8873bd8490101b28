"""What an error of a server means, read from its status and its words.

Only what is stated counts: a window, a prompt's length and an output's are taken from numbers
that stand where servers are known to write them, and from nowhere else.
"""

import re
from typing import Any, Literal

import msgspec

from dmoa.llm.chunks import count
from dmoa.llm.surrogates import whole
from dmoa.text import printable

WORDS = 600

Kind = Literal["context", "output", "busy", "key", "missing", "refused", "broken"]
"""context: the prompt is too long; output: `max_tokens` is; busy: loading or full; key: another
one is wanted; missing: no such model or path; refused: the request is wrong; broken: the server
failed."""


class Fault(msgspec.Struct, frozen=True):
    """An error of a server.

    Attributes:
        kind: what it means.
        status: HTTP's.
        words: the server's own.
        window: tokens that the model's window holds, if it says so.
        prompt: tokens of the prompt, if it says so.
        limit: the most output tokens that it gives, if it says so.
        retry_after: seconds after which it wants to be asked again, if it says so.
        loading: it loads the model.
    """

    kind: Kind
    status: int
    words: str
    window: int | None = None
    prompt: int | None = None
    limit: int | None = None
    retry_after: float | None = None
    loading: bool = False


class ServerRefused(Exception):
    """A server answered a request with an error, before any token."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.words)


_N = r"(\d[\d,_]*)"


def _any(*patterns: str) -> "re.Pattern[str]":
    return re.compile("|".join(patterns).replace("#", _N), re.IGNORECASE)


# The sources of the words: vLLM renderers/params.py, SGLang tokenizer_manager.py, llama.cpp
# server-context.cpp, TGI router/src/validation.rs, LM Studio, and the clouds' APIs.
_WINDOW = _any(
    r"maximum context length (?:is|of|\() ?\(?#",
    r"# maximum context length",
    r"context (?:size|length|window|limit) (?:is |of |= ?|: ?)?\(?# tokens",
    r"n_ctx['\"]?(?: ?[:=]| is)? ?#",
    r"`?inputs`? tokens \+ `?max_new_tokens`? must be <= #",
    r"`?inputs`? must have less than # tokens",
    r"prompt is too long: [\d,]+ tokens > #",
    r"exceeds? context limit: [\d,]+ \+ [\d,]+ > #",
    r"maximum number of (?:input )?tokens(?: allowed)? ?\(?#",
    r"maximum prompt length is #",
    r"maximum allowed length \(?# tokens",
)
_PROMPT = _any(
    r"# (?:tokens )?(?:in|from) (?:the |your )?(?:input )?(?:messages|prompt)",
    r"prompt contains # (?:input )?tokens",
    r"(?:input|request|prompt)(?: length)? \(# tokens\)",
    r"input length \(#\)",
    r"input token count \(#\)",
    r"given: # `?inputs`? tokens",
    r"prompt is too long: # tokens",
    r"context limit: # \+",
    r"request contains #",
    r"passed # input tokens",
    r"messages resulted in # tokens",
    r"n_prompt_tokens['\"]? ?[:=] ?#",
)
_OUTPUT = _any(
    r"requested # output tokens",
    r"# (?:tokens )?(?:in|for) the completion",
    r"and # `?max_new_tokens`?",
    r"context limit: [\d,]+ \+ # >",
    r"max(?:_completion)?_tokens['\"`]? is too large: #",
)
_LIMIT = _any(
    r"supports at most # (?:completion|output) tokens",
    r"max(?:_completion|_new|_output)?_tokens['\"`]?[^.]{0,40}"
    r"(?:less than or equal to|<=|at most) [`']?#",
    r"valid range of max_tokens is \[\d+, ?#\]",
)
_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
_TOO_LONG = re.compile(
    r"(?:exceed|greater than|longer than|too long|larger than|too large for).{0,80}context"
    r"|context (?:size|length|window).{0,40}(?:exceed|overflow|too small)"
    r"|prompt is too long|reduce the length of the (?:messages|prompt|input)",
    re.IGNORECASE | re.DOTALL,
)
_LOADING = re.compile(
    r"\bloading (?:the |your )?model|model (?:\S+ )?is (?:still |currently |being )?loading\b"
    r"|warming up|still starting",
    re.IGNORECASE,
)
_NOT_LOADING = re.compile(r"fail|cannot|could not|unable|error loading", re.IGNORECASE)
_SPENT = re.compile(r"insufficient_quota|billing|exceeded your current quota|credit", re.IGNORECASE)
# Servers that answer 404, 500 or 501 to what is the request's fault.
_REQUESTS_FAULT = re.compile(
    r"does not support (?:tools|thinking|image)|support tool use|tools? (?:are|is) not"
    r"|tools? param|image input is not supported|mmproj"
    r"|failed to parse grammar|json[_ ]schema|response_format|invalid (?:schema|grammar)"
    r"|tool.?choice|jinja",
    re.IGNORECASE,
)


def read_fault(status: int, body: Any, retry_after: str | None = None) -> Fault:
    """What an error means.

    Args:
        status: HTTP's; of an error in a stream the `code` that it carries, or 500.
        body: JSON or text, whatever came.
        retry_after: the header of that name.
    """
    words = words_of(body) or f"status {status}"
    all_of_it = words if isinstance(body, str) else f"{words} {body}"
    window, prompt = _number(_WINDOW, all_of_it), _number(_PROMPT, all_of_it)
    output, limit = _number(_OUTPUT, words), _number(_LIMIT, words)
    if "at least" in words and prompt is not None:
        prompt = None  # vLLM says how many would be too many, not how many there are
    pause = _seconds(retry_after)
    loading = bool(_LOADING.search(words)) and not _NOT_LOADING.search(words)
    if status in (401, 403):
        return Fault("key", status, words)
    if status == 429 and _SPENT.search(all_of_it):
        return Fault("refused", status, words)
    if status in (425, 429, 502, 503, 504) or (loading and status >= 400):
        return Fault("busy", status, words, retry_after=pause, loading=loading)
    too_long = bool(_codes(body) & _CONTEXT_CODES) or bool(_TOO_LONG.search(words))
    if window is not None or too_long:
        fits = window is not None and (
            (prompt is not None and prompt < window) or (prompt is None and output is not None)
        )
        return Fault("output" if fits else "context", status, words, window, prompt)
    if limit is not None:
        return Fault("output", status, words, limit=limit)
    if status in (404, 405) and _REQUESTS_FAULT.search(words):
        return Fault("refused", 400, words)
    if status == 404 and (_codes(body) & {"model_not_found"} or "model" in words.lower()):
        return Fault("missing", status, words)
    if status in (404, 405):
        return Fault("missing", status, words)
    if 400 <= status < 500 or _REQUESTS_FAULT.search(words):
        return Fault("refused", status if status < 500 else 400, words)
    return Fault("broken", status, words)


def stream_status(error: Any) -> int:
    """The status that an error in the middle of a stream carries; 500 for none."""
    if isinstance(error, dict):
        for source in (error, error.get("error")):
            if isinstance(source, dict):
                for name in ("code", "status", "status_code", "http_status_code"):
                    if 400 <= (code := count(source.get(name))) < 600:
                        return code
    return 500


def words_of(body: Any) -> str:
    """The sentence in an error, wherever a server puts it."""
    return printable(whole(" ".join(_find(body, 0).split())), WORDS)


def _find(body: Any, depth: int) -> str:
    if depth > 6:
        return ""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return "; ".join(filter(None, (_find(part, depth + 1) for part in body[:5])))
    if not isinstance(body, dict):
        return ""
    for name in ("error", "message", "detail", "msg", "error_message", "description"):
        if found := _find(body.get(name), depth + 1):
            where = body.get("loc")
            if name == "msg" and isinstance(where, list):  # FastAPI's way to name a field
                found = f"{'.'.join(map(str, where))}: {found}"
            return found
    return ""


def _codes(body: Any, depth: int = 0) -> set[str]:
    if not isinstance(body, dict) or depth > 3:
        return set()
    found = {str(body[name]) for name in ("code", "type", "error_type") if body.get(name)}
    return found | _codes(body.get("error"), depth + 1)


def _number(pattern: "re.Pattern[str]", text: str) -> int | None:
    for match in pattern.finditer(text):
        for group in match.groups():
            if group is not None:
                return int(re.sub(r"\D", "", group)) or None
    return None


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, min(float(header or ""), 3600.0))
    except ValueError:
        return None
