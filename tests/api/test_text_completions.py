"""OpenAI's older completions, with the official client over a real socket."""

import json
from typing import Any

import openai
import pytest

from dmoa.llm.scripted import ScriptedAnswer
from tests.api.asking import OWN, Described, go_away, says, stream_lines
from tests.served import served

PATH = "/v1/completions"
GOOD: dict[str, Any] = {"model": OWN, "prompt": "Why?"}


async def test_a_text_is_answered_whole_and_streamed() -> None:
    async with served() as s:
        whole = await s.client.completions.create(
            model="dmoa-m1-k3", prompt=["Why?"], max_tokens=100, stop="x", seed=3
        )
        assert whole.choices[0].text == "answer of d0 with some more words"
        assert whole.choices[0].finish_reason == "stop"
        assert whole.object == "text_completion"
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 5 * 7
        assert (whole.model_extra or {})["dmoa"]["tasks"] == 5
        llm = s.cluster.llms[0]
        assert [m.content for m in llm.asked[0]] == ["Why?"]
        assert (llm.sampled[0].stop, llm.sampled[0].max_tokens) == (["x"], 100)
        stream = await s.client.completions.create(
            model=OWN, prompt="Why?", stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        pieces = [chunk.choices[0].text for chunk in chunks if chunk.choices]
        assert "".join(pieces) == "answer of d0 with some more words"
        assert len(pieces) > 3
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 7


async def test_what_is_thought_is_no_part_of_the_text() -> None:
    async with served(1) as s:
        says(s, ScriptedAnswer("42", reasoning="hm hm"))
        whole = await s.client.completions.create(model=OWN, prompt="Why?")
        assert whole.choices[0].text == "42"
        stream = await s.client.completions.create(model=OWN, prompt="Why?", stream=True)
        assert "".join([c.choices[0].text async for c in stream]) == "42"


@pytest.mark.parametrize(
    ("more", "status", "named"),
    [
        ({"n": 2}, 400, "n = '2'"),
        ({"best_of": 3}, 400, "leave best_of out"),
        ({"echo": True}, 400, "leave echo out"),
        ({"suffix": "end"}, 400, "leave suffix out"),
        ({"logprobs": 0}, 400, "leave logprobs out"),
        ({"prompt": ["a", "b"]}, 400, "not several"),
        ({"prompt": [1, 2, 3]}, 400, "no tokens"),
        ({"prompt": []}, 400, "not several"),
        ({"prompt": None}, 400, "$.prompt"),
        ({"model": "davinci-002"}, 404, "dmoa-m1-k3"),
    ],
)
async def test_what_cannot_be_done_is_said(more: dict[str, Any], status: int, named: str) -> None:
    async with served(1) as s:
        refused = await s.post(json.dumps({**GOOD, **more}).encode(), PATH)
        assert refused.status == status, refused.body
        assert named in refused.json()["error"]["message"]
        harmless = {"n": 1, "best_of": 1, "echo": False, "suffix": None, "logprobs": None}
        assert (await s.post(json.dumps({**GOOD, **harmless}).encode(), PATH)).status == 200


async def test_a_stream_that_breaks_off_says_why() -> None:
    async with served(1, seconds=60.0, device_options={"prompt_deadline": 0.6}) as s:
        stream = await s.client.completions.create(model=OWN, prompt="Why?", stream=True)
        with pytest.raises(openai.APIError, match="not answered"):
            async for _ in stream:
                pass


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_its_work(stream: bool) -> None:
    async with served(4, seconds=60.0) as s:
        await go_away(s, PATH, {**GOOD, "model": "dmoa-m2-k3", "stream": stream}, running=4)


async def test_all_that_is_sent_is_as_described() -> None:
    async with served(1) as s:
        described = await Described.of(s)
        described.body(PATH, GOOD)
        described.answer(PATH, (await s.post(json.dumps(GOOD).encode(), PATH)).json())
        body = {**GOOD, "stream": True, "stream_options": {"include_usage": True}}
        lines = await stream_lines(s, PATH, body)
        assert lines[-1] == "data: [DONE]"
        for line in lines:
            if line.startswith("data: {"):
                described.event(PATH, json.loads(line[6:]))
