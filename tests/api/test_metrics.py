"""`/metrics`, read as Prometheus reads it."""

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.served import Api, served

ASK = [{"role": "user", "content": "Why?"}]


async def read(api: Api) -> dict[tuple[str, str], float]:
    """Every sample, by its name and the values of its labels."""
    response = await api.get("/metrics")
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, " ".join(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.body.decode())
        for sample in family.samples
    }


async def test_prompts_tasks_tokens_and_latency_are_counted() -> None:
    async with served(3) as s:
        before = await read(s)
        assert before["dmoa_peers", ""] == 2
        for _ in range(3):
            await s.client.chat.completions.create(model="dmoa-m1-k2", messages=ASK)  # type: ignore[arg-type]
        s.cluster.llms[1].fails_before_token = 0
        await s.client.chat.completions.create(model="dmoa-m1-k2", messages=ASK)  # type: ignore[arg-type]
        after = await read(s)
        assert after["dmoa_prompts_total", "answered"] == 4
        assert after["dmoa_prompt_seconds_count", "1 asked 2"] == 4
        assert after["dmoa_prompt_seconds_sum", "1 asked 2"] > 0
        assert after["dmoa_tasks_total", "answered"] == 15
        assert after["dmoa_tasks_total", "failed"] == 1
        assert after["dmoa_tokens_total", "completion"] > 0
        assert after["dmoa_open_prompts", ""] == after["dmoa_queue_tasks", ""] == 0
        assert after["dmoa_service_seconds", ""] == pytest.approx(0.01, rel=2)
        assert after["dmoa_healthy", ""] == 1


async def test_failures_and_refusals_are_counted_by_their_cause() -> None:
    async with served(1) as s:
        s.cluster.llms[0].fails_before_token = 0
        with pytest.raises(openai.InternalServerError):
            await s.client.chat.completions.create(model="dmoa", messages=ASK)  # type: ignore[arg-type]
        with pytest.raises(openai.NotFoundError):
            await s.client.chat.completions.create(model="nothing", messages=ASK)  # type: ignore[arg-type]
        found = await read(s)
        assert found["dmoa_prompts_total", "failed"] == 1
        assert found["dmoa_refusals_total", "NobodyAnswered"] == 1
        assert found["dmoa_refusals_total", "ApiError"] == 1


async def test_a_key_is_asked_for() -> None:
    async with served(1, keys=["right"]) as s:
        assert (await s.get("/metrics")).status == 401
