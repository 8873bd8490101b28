"""Other people's servers: LiteLLM's proxy in front and behind, llama.cpp's own server behind."""

from typing import Any

import openai
import pytest
from benchmarks._litellm import LITELLM, litellm_proxy

from dmoa.llm.specification import make_llm
from dmoa.llm.upstream import Upstream
from tests.clients.place import MODEL, Clever, node
from tests.served import served_by

ASK: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "It is Paris, of course."
needs_proxy = pytest.mark.skipif(
    not LITELLM.exists(), reason="LiteLLM's proxy is not installed; `make clients` installs it"
)


async def both(client: openai.AsyncOpenAI, model: str, **options: Any) -> tuple[str, str]:
    """The answer whole and streamed."""
    completions = client.chat.completions
    whole = await completions.create(model=model, messages=ASK, **options)
    stream = await completions.create(model=model, messages=ASK, stream=True, **options)
    text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
    return whole.choices[0].message.content or "", text


@needs_proxy
async def test_litellms_proxy_stands_in_front_of_a_node() -> None:
    async with node() as b, litellm_proxy(f"{b.api.url}/v1", MODEL) as port:
        url = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="sk-1") as client:
            assert await both(client, MODEL) == (ANSWER, ANSWER)


@needs_proxy
async def test_litellms_proxy_is_the_llm_of_a_device() -> None:
    async with Clever() as server, litellm_proxy(server.url, "clever") as port:
        llm = await Upstream.connect(f"http://127.0.0.1:{port}/v1", None, key="sk-1")
        try:
            async with served_by(llm) as (api, _):
                assert await both(api.client, "clever") == (ANSWER, ANSWER)
                with pytest.raises(openai.BadRequestError):
                    await api.client.chat.completions.create(
                        model="clever", messages=ASK, temperature=9
                    )
        finally:
            await llm.close()


@pytest.mark.real
async def test_llamacpps_own_server_with_real_weights_is_the_llm_of_a_device() -> None:
    own = await make_llm("smollm2", "ada", context_length=2048, threads=1)
    assert isinstance(own, Upstream)
    try:
        llm = await Upstream.connect(own.server.url, None, key=own.server.key)
        try:
            async with served_by(llm, layers=0) as (api, _):
                whole, streamed = await both(api.client, "dmoa", max_tokens=12, temperature=0)
                assert whole
                assert whole == streamed
                formed = await api.client.chat.completions.create(
                    model="dmoa",
                    messages=ASK,
                    max_tokens=60,
                    response_format={
                        "type": "json_schema",
                        "json_schema": {
                            "name": "city",
                            "schema": {
                                "type": "object",
                                "properties": {"city": {"enum": ["Paris", "Rome"]}},
                                "required": ["city"],
                            },
                        },
                    },
                )
                assert formed.choices[0].message.content
                assert '"city"' in formed.choices[0].message.content
                too_long: list[Any] = [{"role": "user", "content": "word " * 5000}]
                with pytest.raises(openai.BadRequestError, match="context"):
                    await api.client.chat.completions.create(model="dmoa", messages=too_long)
                assert await both(api.client, "dmoa", max_tokens=4)
        finally:
            await llm.close()
    finally:
        await own.close()
