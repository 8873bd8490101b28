"""What a model thinks aloud, told apart from what it answers.

Servers that know their model put thoughts into a field of their own; all others leave the marks
of the model in the text. The splitter finds them while the text streams, wherever the text is
cut: the same characters give the same result in any pieces.

Known marks, and whose they are: `<think>` (DeepSeek, Qwen, GLM, Kimi, MiniMax and most others),
`<thinking>`, `<thought>`, `<reasoning>` (models that are asked to), `<seed:think>` (Seed-OSS),
`[THINK]` (Magistral), `<|START_THINKING|>` (Cohere), `<|channel|>analysis<|message|>` (gpt-oss,
"harmony"), `<|channel>thought` (Gemma), `<|inner_prefix|>` (Apertus), `<|begin_of_thought|>`
(OpenThinker), `◁think▷` (Kimi-VL).
"""

import re
from dataclasses import dataclass

_TAGS = ("think", "thinking", "thought", "reasoning", "seed:think")
_PAIRS = {
    **{f"<{tag}>": tuple(f"</{name}>" for name in _TAGS) for tag in _TAGS},
    "[think]": ("[/think]",),
    "<|start_thinking|>": ("<|end_thinking|>",),
    "<|channel>thought": ("<channel|>",),
    "<|inner_prefix|>": ("<|inner_suffix|>",),
    "<|begin_of_thought|>": ("<|end_of_thought|>",),
    "◁think▷": ("◁/think▷",),
}
_CLOSING = {mark for marks in _PAIRS.values() for mark in marks}
# Harmony: <|start|>assistant<|channel|>CHANNEL<|message|>TEXT<|end|>, the first part implied.
_HARMONY_END = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
_FRAMES = {
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|start_response|>",
    "<|end_response|>",
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
}
_HEADER_CHARACTERS = 256
# An answer that only speaks of a mark quotes it, or shows it in a block of code.
_QUOTES = frozenset("`'\"“‘«")


class _Marks:
    """Strings to look for, whole and begun, in any case."""

    def __init__(self, marks: set[str]) -> None:
        longest_first = sorted(marks, key=len, reverse=True)
        self._whole = re.compile("|".join(re.escape(mark) for mark in longest_first), re.IGNORECASE)
        self._begun = {mark[:length] for mark in marks for length in range(1, len(mark))}
        self._longest = len(longest_first[0])

    def find(self, text: str) -> "re.Match[str] | None":
        """The first mark."""
        return self._whole.search(text)

    def held(self, text: str) -> int:
        """Where a mark may have begun that goes on in text to come; else the text's length."""
        tail = text[-self._longest + 1 :].lower() if self._longest > 1 else ""
        for start in range(len(tail)):
            if tail[start] in "<[◁" and tail[start:] in self._begun:
                return len(text) - len(tail) + start
        return len(text)


_IN_TEXT = _Marks(set(_PAIRS) | _CLOSING | _FRAMES)
_IN_HEADER = _Marks({"<|message|>"})
_IN_ROLE = _Marks({"<|message|>", "<|channel|>"})
_IN_THOUGHT = {closing: _Marks(set(closing)) for closing in {*_PAIRS.values(), _HARMONY_END}}


@dataclass(frozen=True)
class Split:
    """What a piece of text turned out to be.

    Attributes:
        text: belongs to the answer.
        reasoning: was thought.
        recants: all text of earlier pieces was thought too: a closing mark came whose opening
            one stood in the prompt.
    """

    text: str = ""
    reasoning: str = ""
    recants: bool = False


class ReasoningSplitter:
    """Tells thoughts from answers in a text that comes piece by piece.

    Args:
        thinking: the text begins inside a thought, because the prompt opened one.

    Attributes:
        recanted: a closing mark without an opening one was seen.
        open: a thought has begun and not ended.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self.recanted = False
        self._marks = _IN_THOUGHT[_PAIRS["<think>"]] if thinking else _IN_TEXT
        self._thinking = thinking
        self._rest = ""
        self._last = ""
        self._backticks = 0
        self._fenced = False
        self._header: str | None = None
        self._skip_space = thinking
        self._begun = False
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._recants = False

    @property
    def open(self) -> bool:
        """Whether a thought has begun and not ended."""
        return self._thinking

    def feed(self, piece: str) -> Split:
        """The next piece of text."""
        self._rest += piece
        while (match := self._marks.find(self._rest)) is not None:
            before, after = self._rest[: match.start()], self._rest[match.end() :]
            mark = match[0].lower()
            self._put(before)
            self._rest = after
            self._meet(mark, match[0])
        held = self._marks.held(self._rest)
        self._put(self._rest[:held])
        self._rest = self._rest[held:]
        return self._take()

    def end(self) -> Split:
        """No more text comes; what was held back because it might be a mark is none."""
        rest, self._rest = self._rest, ""
        self._put(rest)
        if self._header is not None:  # a header without its end
            header, self._header = self._header, None
            self._put(header)
        if self._space and not self._begun:
            self._text.append(self._space)
        return self._take()

    # --- states -------------------------------------------------------------------------------

    _space = ""

    def _meet(self, mark: str, written: str) -> None:
        if self._header is not None:
            self._leave_header(mark)
        elif self._thinking:
            self._answer()
            if mark in ("<|channel|>", "<|start|>"):
                self._enter_header(mark)
        elif self._last in _QUOTES or self._fenced:
            self._put(written)
        elif mark in _PAIRS:
            self._think(_PAIRS[mark])
        elif mark in _CLOSING:
            self._recant()
        elif mark in ("<|channel|>", "<|start|>"):
            self._enter_header(mark)
        else:  # a frame of the answer, no part of it
            self._skip_space = True

    def _think(self, closing: tuple[str, ...]) -> None:
        self._space = ""
        self._begun = True
        self._thinking = True
        self._skip_space = True
        self._marks = _IN_THOUGHT[closing]

    def _answer(self) -> None:
        self._thinking = False
        self._begun = True
        self._skip_space = True
        self._last = ""
        self._marks = _IN_TEXT

    def _recant(self) -> None:
        self._reasoning = [*self._reasoning, *self._text]
        self._text = []
        self._recants = self.recanted = True
        self._fenced = False
        self._space = ""
        self._answer()

    def _enter_header(self, mark: str) -> None:
        self._header = ""
        self._marks = _IN_HEADER if mark == "<|channel|>" else _IN_ROLE

    def _leave_header(self, mark: str) -> None:
        header, self._header = (self._header or "").strip().lower(), None
        if mark == "<|channel|>":
            self._enter_header(mark)
        elif header.startswith("analysis"):
            self._think(_HARMONY_END)
        else:
            self._answer()

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._header is not None:
            self._header += text
            if len(self._header) > _HEADER_CHARACTERS:
                text, self._header = self._header, None
                self._marks = _IN_TEXT
            else:
                return
        if self._skip_space:
            text = text.lstrip()
            if not text:
                return
            self._skip_space = False
        if self._thinking:
            self._reasoning.append(text)
            return
        if not self._begun:  # space before a first mark is no part of the answer
            text = self._space + text
            if text.isspace():
                self._space = text
                return
            self._space = ""
            self._begun = True
        self._text.append(text)
        self._last = text[-1]
        self._watch_fences(text)

    def _watch_fences(self, text: str) -> None:
        if "`" not in text:
            self._backticks = 0
            return
        for character in text:
            self._backticks = self._backticks + 1 if character == "`" else 0
            if self._backticks == 3:
                self._fenced = not self._fenced

    def _take(self) -> Split:
        split = Split("".join(self._text), "".join(self._reasoning), self._recants)
        self._text, self._reasoning, self._recants = [], [], False
        return split


def split_reasoning(text: str) -> tuple[str, str]:
    """A whole response as its answer and what was thought before it."""
    splitter = ReasoningSplitter()
    first, last = splitter.feed(text), splitter.end()
    if last.recants:
        return last.text, first.reasoning + first.text + last.reasoning
    return first.text + last.text, first.reasoning + last.reasoning


def answer_alone(text: str) -> str:
    """A response without what was thought before its answer."""
    return split_reasoning(text)[0].strip()
