"""Which model is taken, how tokens are counted, and scripts that think."""

from typing import Any

import pytest

from dmoa.errors import (
    UsageError,
)
from dmoa.llm.choosing import Model, candidates, named
from dmoa.llm.scripted import ScriptedAnswer as Script
from dmoa.llm.scripted import ScriptedLLM
from dmoa.llm.specification import make_llm
from dmoa.llm.tokens import estimate_tokens
from dmoa.protocol.conversation import (
    Constraints,
    Message,
    Sampling,
    text_of_parts,
)
from tests.llm.fake import (
    serving,
)
from tests.llm.picky import PARIS
from tests.llm.talking import HI, connected, say

# --- choosing --------------------------------------------------------------------


def test_models_that_cannot_chat_are_known_by_their_names() -> None:
    cannot = [
        "bge-m3",
        "BAAI/bge-large-en",
        "all-minilm:latest",
        "nomic-embed-text:v1.5",
        "text-embedding-3-small",
        "Qwen/Qwen3-Embedding-0.6B",
        "Qwen3-Reranker-4B",
        "whisper-1",
        "openai/whisper-large-v3",
        "intfloat/e5-mistral-7b",
        "mxbai-embed-large",
        "tts-1",
        "sentence-transformers/paraphrase-mpnet",
        "jina-colbert-v2",
        "Alibaba-NLP/gte-large",
        "snowflake-arctic-embed2",
        "bert-base-uncased",
        "roberta-large",
        "ModernBERT-base",
        "stable-diffusion-xl",
        "omni-moderation-latest",
        "llama-guard3:1b",
        "kokoro-82m",
    ]
    can = [
        "qwen3:4b",
        "llama3.2:latest",
        "gpt-4o",
        "gpt-oss:20b",
        "mistral-small",
        "tinyllama",
        "deepseek-r1:8b",
        "smollm2",
        "phi4",
        "gemma3:1b",
        "codestral",
        "Mixtral-8x7B",
        "robert-7b",
    ]
    assert not [name for name in cannot if Model(name).can_chat()]
    assert not [name for name in can if not Model(name).can_chat()]


def test_loaded_models_come_first() -> None:
    models = [Model("a", loaded=False), Model("bge-m3", loaded=True), Model("c", loaded=True)]
    assert [model.name for model in candidates(models)] == ["c", "a"]


def test_several_models_of_a_short_name_are_a_question() -> None:
    models = [Model("qwen3:4b"), Model("qwen3:8b"), Model("llama3:latest"), Model("org/x.gguf")]
    with pytest.raises(UsageError, match="several models 'qwen3': qwen3:4b, qwen3:8b"):
        named(models, "qwen3", "http://x/v1")
    assert named(models, "llama3", "").name == "llama3:latest"
    assert named(models, "X", "").name == "org/x.gguf"


async def test_an_embedding_model_that_is_listed_first_is_passed_over() -> None:
    names = ("bge-m3", "all-minilm", "qwen3:4b")
    async with serving(PARIS, models=names) as fake, connected(fake) as llm:
        assert llm.info.name == "qwen3:4b"


# --- counting, scripts --------------------------------------------------------------------------


def test_estimates_count_tools_and_images_but_not_their_base64() -> None:
    tools = [
        {"type": "function", "function": {"name": f"f{i}", "parameters": {"type": "object"}}}
        for i in range(30)
    ]
    bare = estimate_tokens(HI)
    assert estimate_tokens(HI, Constraints(tools=tools)) > bare + 500
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "x" * 10**6}}]
    image = [Message("user", text_of_parts(parts), parts=parts)]
    assert 500 < estimate_tokens(image) < 3000
    assert image[0].size() > 10**6


@pytest.mark.parametrize(
    ("part", "stands"),
    [
        ({"type": "image_url", "image_url": {"url": "http://x.org/a/cat.png"}}, "image: cat.png"),
        ({"type": "image_url", "image_url": "http://x.org/"}, "image: x.org"),
        ({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}, "image: image/png"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio: wav"),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "x"}}, "file: a.pdf"),
        ({"type": "video"}, "video"),
        ({}, "part"),
    ],
)
def test_what_cannot_be_shown_has_a_name(part: dict[str, Any], stands: str) -> None:
    assert text_of_parts([{"type": "text", "text": "see"}, part]) == (
        f"see\n[{stands} not shown: this model reads text only]"
    )


async def test_a_script_can_think_and_call() -> None:
    call = {"id": "c1", "function": {"name": "add", "arguments": '{"a":1}'}}
    script = Script("the answer is 7", "let me think about it", [call])
    llm = ScriptedLLM(lambda: 0.0, lambda _: script)
    said = await say(llm)
    assert (said.text, said.reasoning) == ("the answer is 7", "let me think about it")
    assert (said.named, said.finish) == ([("add", '{"a":1}')], "tool_calls")
    cut = await say(llm, sampling=Sampling(max_tokens=6))
    assert (cut.text, cut.finish, cut.calls) == ("the", "length", [])
    told = await make_llm("scripted:deterministic,mean=0,answer=<think>hm, so</think>Paris", "ada")
    said = await say(told)
    assert (said.text, said.reasoning) == ("Paris", "hm, so")
