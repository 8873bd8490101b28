"""LLMs that replay recorded outputs."""

import json
from pathlib import Path

import pytest

from dmoa.errors import LLMError, UsageError
from dmoa.llm.interface import Token
from dmoa.llm.specification import make_llm
from dmoa.protocol.conversation import Message, Sampling

OUTPUT = "Four.\n\n**Two** and  two   make four."


async def answer(path: Path, *messages: Message) -> str:
    llm = await make_llm(f"recorded:{path}", "device")
    assert llm.info.name == "fuse"
    items = [item async for item in llm.stream(messages, Sampling())]
    return "".join(item.text for item in items if isinstance(item, Token))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "fuse.jsonl"
    path.write_text(json.dumps({"instruction": "2 + 2?", "output": OUTPUT, "generator": "fuse"}))
    return path


async def test_a_known_prompt_is_answered_word_for_word(recorded: Path) -> None:
    assert await answer(recorded, Message("user", "2 + 2?")) == OUTPUT


async def test_an_unknown_prompt_is_an_error_that_names_it(recorded: Path) -> None:
    with pytest.raises(LLMError, match=r"no output for '3 \+ 3\?'"):
        await answer(recorded, Message("user", "3 + 3?"))


async def test_drafts_cannot_be_aggregated(recorded: Path) -> None:
    with pytest.raises(LLMError, match="single prompts only"):
        await answer(recorded, Message("system", "<draft 1>"), Message("user", "2 + 2?"))


async def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        await answer(tmp_path / "absent.jsonl", Message("user", "x"))
