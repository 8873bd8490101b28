"""Prompts in the background: accepted on the disk, answered once, fetched by their ids."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import openai
import pytest

from dmoa.device.device import Device
from dmoa.errors import StoreFull
from dmoa.policies.limits import LIMITS
from dmoa.store.database import Database
from dmoa.store.prompts import KeptPrompts
from tests.api.asking import OWN, Described
from tests.served import Served, served
from tests.store.inline import database

CHAT = {"model": OWN, "messages": [{"role": "user", "content": "Why?"}]}
BACKGROUND = {**CHAT, "dmoa": {"background": True}}
OVER = ("completed", "failed", "cancelled")


async def over(s: Served, name: str) -> openai.types.responses.Response:
    """A response once it is over."""
    async with asyncio.timeout(20):
        while (response := await s.client.responses.retrieve(name)).status not in OVER:
            await asyncio.sleep(0.01)
    return response


async def post(s: Served, path: str, body: Any = None) -> tuple[int, Any]:
    response = await s.post(json.dumps(body or {}).encode(), path)
    return response.status, response.json()


async def chat_over(s: Served, url: str) -> Any:
    async with asyncio.timeout(20):
        while (found := (await s.get(url)).json())["status"] not in OVER:
            await asyncio.sleep(0.01)
    return found


def asked(s: Served) -> int:
    return len(s.cluster.llms[0].asked)


async def test_a_background_response_is_queued_answered_and_fetched(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store, served(store=store) as s:
        described = await Described.of(s)
        first = await s.client.responses.create(
            model="dmoa-m1-k2", input="Why?", background=True, metadata={"a": "b"}
        )
        assert first.status == "queued"
        assert first.background is True
        response = await over(s, first.id)
        assert response.status == "completed"
        assert response.output_text == "answer of d0 with some more words"
        assert response.metadata == {"a": "b"}
        assert response.created_at == first.created_at
        assert (response.model_extra or {})["dmoa"]["tasks"] == 4
        raw = (await s.get(f"/v1/responses/{first.id}")).json()
        described.answer("/v1/responses/{id}", raw, method="get")
        # It can be gone on from, and be deleted.
        told = await s.client.responses.create(
            model=OWN, input="And?", previous_response_id=first.id
        )
        assert told.output_text
        said = [message.content for message in s.cluster.llms[0].asked[-1]]
        assert said == ["Why?", "answer of d0 with some more words", "And?"]
        await s.client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await s.client.responses.retrieve(first.id)


async def test_a_chat_completion_in_the_background_says_where_it_is_fetched(
    tmp_path: Path,
) -> None:
    async with database(tmp_path / "s") as store, served(store=store) as s:
        described = await Described.of(s)
        status, accepted = await post(s, "/v1/chat/completions", BACKGROUND)
        assert status == 202
        described.answer("/v1/chat/completions", accepted, status=202)
        assert accepted["status"] == "queued"
        found = await chat_over(s, accepted["url"])
        described.answer("/v1/dmoa/background/{id}", found, method="get")
        message = found["answer"]["choices"][0]["message"]
        assert message["content"] == "answer of d0 with some more words"
        assert found["answer"]["dmoa"]["id"] == found["id"]
        deleted = await s.raw(
            f"DELETE {accepted['url']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        assert deleted.json()["deleted"] is True
        assert (await s.get(accepted["url"])).status == 404


async def test_what_a_device_died_over_is_answered_after_its_restart_once(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with database(path) as store, served(1, seconds=1000.0, store=store) as s:
        first = await s.client.responses.create(model=OWN, input="Why?", background=True)
        _, second = await post(s, "/v1/chat/completions", BACKGROUND)
        async with asyncio.timeout(10):
            while (await s.client.responses.retrieve(first.id)).status != "in_progress":
                await asyncio.sleep(0.01)
        # As kill -9 leaves it: nothing is tidied up after this.
        await store.run(lambda connection: None)
        for suffix in ("", "-wal"):
            copied = Path(f"{path}{suffix}")
            if copied.exists():
                (tmp_path / f"killed{suffix}").write_bytes(copied.read_bytes())
    async with database(tmp_path / "killed") as store, served(1, store=store) as s:
        response = await over(s, first.id)
        assert response.output_text == "answer of d0 with some more words"
        found = await chat_over(s, second["url"])
        assert found["status"] == "completed"
        assert asked(s) == 2, "each once"
    async with database(tmp_path / "killed") as store, served(1, store=store) as s:
        assert await over(s, first.id) == response
        assert await chat_over(s, second["url"]) == found
        assert asked(s) == 0


async def test_an_orderly_end_is_taken_up_again_and_is_no_death(tmp_path: Path) -> None:
    for _ in range(7):  # more than the deaths that a prompt may have
        async with database(tmp_path / "s") as store, served(1, seconds=1000.0, store=store) as s:
            if not (await waiting(store)):
                await post(s, "/v1/chat/completions", BACKGROUND)
            async with asyncio.timeout(10):
                while not asked(s):
                    await asyncio.sleep(0.01)
    async with database(tmp_path / "s") as store, served(1, store=store) as s:
        ((name, deaths),) = await waiting(store)
        assert deaths == 0
        assert (await chat_over(s, f"/v1/dmoa/background/{name}"))["status"] == "completed"


async def waiting(store: Database) -> list[tuple[str, int]]:
    return await store.run(
        lambda connection: connection.execute("SELECT id, deaths FROM prompts").fetchall()
    )


async def test_a_cancelled_prompt_ends_on_all_devices_and_stays_cancelled(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store, served(seconds=1000.0, store=store) as s:
        response = await s.client.responses.create(
            model="dmoa-m1-k3", input="Why?", background=True
        )
        _, chat = await post(s, "/v1/chat/completions", BACKGROUND)
        async with asyncio.timeout(20):
            while s.cluster.devices[0].open_prompts < 2:
                await asyncio.sleep(0.01)
            assert (await s.client.responses.cancel(response.id)).status == "cancelled"
            status, told = await post(s, f"{chat['url']}/cancel")
            assert (status, told["status"]) == (200, "cancelled")
            while s.cluster.busy():
                await asyncio.sleep(0.01)
        assert (await s.client.responses.cancel(response.id)).status == "cancelled"
        assert (await s.client.responses.retrieve(response.id)).status == "cancelled"


async def test_a_prompt_that_is_over_is_not_cancelled_any_more(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store, served(store=store) as s:
        response = await s.client.responses.create(model=OWN, input="Why?", background=True)
        await over(s, response.id)
        assert (await s.client.responses.cancel(response.id)).status == "completed"


async def test_a_full_disk_refuses_loses_nothing_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmoa.api.unattended.STORE_PAUSE", 0.01)
    async with (
        database(tmp_path / "s", most_bytes=400_000) as store,
        served(1, seconds=0.001, store=store, context_lengths={0: 2**20}) as s,
    ):
        accepted: list[str] = []
        long = {**BACKGROUND, "messages": [{"role": "user", "content": "Why? " * 6000}]}
        while True:
            status, told = await post(s, "/v1/chat/completions", long)
            if status != 202:
                break
            accepted.append(told["url"])
        assert status == 507
        assert told["error"]["code"] == "store_full"
        assert "there is no room" in told["error"]["message"]
        assert 5 < len(accepted) < 15
        # Those who wait go on being served.
        assert (await post(s, "/v1/chat/completions", CHAT))[0] == 200
        for url in accepted[:2]:
            await s.raw(f"DELETE {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status, told = await post(s, "/v1/chat/completions", BACKGROUND)
        assert status == 202
        for url in [*accepted[2:], told["url"]]:
            assert (await chat_over(s, url))["status"] == "completed"


async def test_an_answer_that_finds_no_room_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmoa.api.unattended.STORE_PAUSE", 0.01)
    end, full = KeptPrompts.end, True

    async def refuse(self: KeptPrompts, *arguments: Any) -> bool:
        if full:
            raise StoreFull("there is no room")
        return await end(self, *arguments)

    monkeypatch.setattr(KeptPrompts, "end", refuse)
    async with database(tmp_path / "s") as store, served(1, store=store) as s:
        _, told = await post(s, "/v1/chat/completions", BACKGROUND)
        async with asyncio.timeout(10):
            while not s.cluster.devices[0].prompt(told["id"]):
                await asyncio.sleep(0.01)
            while s.cluster.busy():
                await asyncio.sleep(0.01)
        assert (await s.get(told["url"])).json()["status"] == "in_progress"
        full = False
        assert (await chat_over(s, told["url"]))["answer"]
        assert asked(s) == 1, "the work is not done again"


async def test_a_prompt_waits_for_an_llm_that_makes_no_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmoa.api.unattended.FIRST_PAUSE", 0.01)
    async with database(tmp_path / "s") as store, served(1, store=store) as s:
        s.cluster.llms[0].fails_before_token = 0
        _, told = await post(s, "/v1/chat/completions", BACKGROUND)
        async with asyncio.timeout(20):
            while asked(s) < 3:
                await asyncio.sleep(0.01)
        assert (await s.get(told["url"])).json()["status"] == "in_progress"
        s.cluster.llms[0].fails_before_token = None
        assert (await chat_over(s, told["url"]))["status"] == "completed"


async def test_a_prompt_that_can_never_be_answered_has_failed_and_says_why(
    tmp_path: Path,
) -> None:
    async with (
        database(tmp_path / "s") as store,
        served(1, store=store, context_lengths={0: 128}) as s,
    ):
        long = {"model": OWN, "input": "Why? " * 4000, "background": True}
        _, told = await post(s, "/v1/responses", long)
        response = await over(s, told["id"])
        assert response.status == "failed"
        assert response.error
        assert response.error.code == "invalid_prompt"
        assert "context window" in response.error.message


async def test_a_fault_of_ours_costs_one_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database(tmp_path / "s") as store, served(1, store=store) as s:
        with monkeypatch.context() as broken:

            async def fault(self: Device, prompt: object) -> None:
                raise ZeroDivisionError

            broken.setattr(Device, "ask", fault)
            _, told = await post(s, "/v1/chat/completions", BACKGROUND)
            found = await chat_over(s, told["url"])
            assert found["status"] == "failed"
            assert found["error"]["message"] == "internal error: ZeroDivisionError"
        _, told = await post(s, "/v1/chat/completions", BACKGROUND)
        assert (await chat_over(s, told["url"]))["status"] == "completed"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/responses", {"input": "?", "store": False}, 400, "leave store out"),
        ("/v1/responses", {"input": "?", "stream": True}, 400, "not streamed here"),
        ("/v1/responses", {"input": "?", "model": "no"}, 404, "no"),
        ("/v1/chat/completions", {**BACKGROUND, "stream": True}, 400, "leave stream out"),
        ("/v1/chat/completions", {**BACKGROUND, "model": "no"}, 404, "no"),
    ],
)
async def test_what_makes_no_sense_is_refused_at_once_and_not_kept(
    tmp_path: Path, path: str, body: dict[str, Any], status: int, words: str
) -> None:
    async with database(tmp_path / "s") as store, served(1, store=store) as s:
        body = body if "messages" in body else {"model": OWN, "background": True, **body}
        found, told = await post(s, path, body)
        assert (found, words in told["error"]["message"]) == (status, True), told
        assert await waiting(store) == []


async def test_one_does_not_go_on_from_what_is_not_over(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store, served(1, seconds=1000.0, store=store) as s:
        first = await s.client.responses.create(model=OWN, input="Why?", background=True)
        with pytest.raises(openai.BadRequestError, match="go on from a completed one"):
            await s.client.responses.create(model=OWN, input="And?", previous_response_id=first.id)


async def test_only_what_is_in_the_background_can_be_cancelled(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store, served(1, store=store) as s:
        response = await s.client.responses.create(model=OWN, input="Why?")
        with pytest.raises(openai.BadRequestError, match="in the background"):
            await s.client.responses.cancel(response.id)
        with pytest.raises(openai.NotFoundError):
            await s.client.responses.cancel("resp_none")
        assert (await s.get("/v1/dmoa/background/none")).status == 404


async def test_a_device_without_a_store_keeps_no_prompts() -> None:
    async with served(1) as s:
        for path, body in (
            ("/v1/chat/completions", BACKGROUND),
            ("/v1/responses", {"model": OWN, "input": "?", "background": True}),
        ):
            status, told = await post(s, path, body)
            assert status == 400
            assert "leave background out" in told["error"]["message"]


def test_few_prompts_in_the_background_are_worked_on_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            database(tmp_path / "s") as store,
            served(1, seconds=1000.0, store=store) as s,
        ):
            for _ in range(LIMITS.unattended_at_once + 2):
                await post(s, "/v1/chat/completions", BACKGROUND)
            await asyncio.sleep(0.05)
            assert s.cluster.devices[0].open_prompts == LIMITS.unattended_at_once

    asyncio.run(work())


def test_sqlite_is_new_enough() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35), "RETURNING is used"
