"""What was thought and what is the answer, in any pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.protocol.reasoning import ReasoningSplitter, split_reasoning

HARMONY = (
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi"
    "<|return|>"
)
CASES = {  # text: answer, thought
    "Hi": ("Hi", ""),
    "<think>hm</think>Hi": ("Hi", "hm"),
    "<think>\nhm\n</think>\n\nHi": ("Hi", "hm\n"),
    "<think></think>\n\nHi": ("Hi", ""),
    "\n\n<THINK>hm</THINK>Hi": ("Hi", "hm"),
    "<thinking>hm</thinking>Hi": ("Hi", "hm"),
    "<thought>hm</thought>Hi": ("Hi", "hm"),
    "<reasoning>hm</reasoning>Hi": ("Hi", "hm"),
    "<seed:think>hm</seed:think>Hi": ("Hi", "hm"),
    "[THINK]hm[/THINK]Hi": ("Hi", "hm"),
    "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Hi<|END_RESPONSE|>": ("Hi", "hm"),
    "<|inner_prefix|>hm<|inner_suffix|>Hi": ("Hi", "hm"),
    "<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>Hi<|end_of_solution|>": (
        "Hi",
        "hm",
    ),
    "<|channel>thought\nhm<channel|>Hi": ("Hi", "hm"),
    "◁think▷hm◁/think▷Hi": ("Hi", "hm"),
    HARMONY: ("Hi", "hm"),
    "<|channel|>final<|message|>Hi<|return|>": ("Hi", ""),
    "<|start|>assistant<|channel|>analysis<|message|>hm": ("", "hm"),
    "I think hard.</think>Paris": ("Paris", "I think hard."),
    "I think.[/THINK]Paris": ("Paris", "I think."),
    "</think>\n\nHi": ("Hi", ""),
    "<think>a</think>b</think>Hi": ("Hi", "ab"),
    "<think>a</think>Hi, <think>b</think>you": ("Hi, you", "ab"),
    "<think>never closed": ("", "never closed"),
    "<think>a < b, [1] and </thin": ("", "a < b, [1] and </thin"),
    "a < b and <b>bold</b> and [x]": ("a < b and <b>bold</b> and [x]", ""),
    "Write `<think>` to think.": ("Write `<think>` to think.", ""),
    'The mark "</think>" ends it.': ('The mark "</think>" ends it.', ""),
    "```xml\n<think>\n</think>\n```\nso": ("```xml\n<think>\n</think>\n```\nso", ""),
    "```\nx\n```\n<think>hm</think>so": ("```\nx\n```\nso", "hm"),
    "<thi": ("<thi", ""),
    "<": ("<", ""),
    "\n": ("\n", ""),
    "  Hi": ("  Hi", ""),
    "": ("", ""),
    "<|channel|>" + "x" * 300: ("x" * 300, ""),
    "<|channel|>short": ("short", ""),
}


def split(text: str, sizes: list[int]) -> tuple[str, str]:
    """A text in pieces, taken as a caller has to."""
    splitter = ReasoningSplitter()
    answer = thought = ""
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    for part in [*(splitter.feed(piece) for piece in [*pieces, text]), splitter.end()]:
        if part.recants:
            thought, answer = thought + answer, ""
        answer += part.text
        thought += part.reasoning
    return answer, thought


@pytest.mark.parametrize("text", CASES)
def test_marks_of_all_models_are_told_from_the_answer(text: str) -> None:
    assert split_reasoning(text) == CASES[text]
    for step in (1, 2, 3, 5):
        assert split(text, [step] * (len(text) // step)) == CASES[text]


MARKS = [
    "<think>",
    "</think>",
    "[THINK]",
    "[/THINK]",
    "<|channel|>",
    "<|message|>",
    "<|end|>",
    "<|start|>",
    "analysis",
    "final",
    "assistant",
    "`",
    "```",
    '"',
    "\n",
    " ",
    "<",
    "x",
    "</seed:think>",
    "<|START_THINKING|>",
    "<|END_THINKING|>",
    "◁think▷",
    "◁/think▷",
]


@given(st.lists(st.sampled_from(MARKS), max_size=14), st.lists(st.integers(0, 9), max_size=60))
def test_any_pieces_give_the_same(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    (answer, thought), (whole_answer, whole_thought) = split(text, sizes), split_reasoning(text)
    # Text that was taken back stands behind thoughts of its piece, whichever came first.
    assert (answer, sorted(thought)) == (whole_answer, sorted(whole_thought))


@given(st.text())
def test_a_text_without_marks_comes_out_as_it_went_in(text: str) -> None:
    if not any(mark in text for mark in "<[◁"):
        assert split_reasoning(text) == (text, "")


def test_text_streams_on_while_it_cannot_be_a_mark() -> None:
    splitter = ReasoningSplitter()
    assert splitter.feed("Paris is a").text == "Paris is a"
    assert splitter.feed(" <").text == " "
    assert splitter.feed("b").text == "<b"
