"""Examinations between real processes, and the commands that show them."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from dmoa.client import ask_async, fetch_standings
from dmoa.node.local import LocalNetwork
from tests.node.test_processes import run_cli

pytestmark = pytest.mark.processes

SCRIPT = "scripted:deterministic,mean=0.01,answer={}"
EAGER = ["--exam-gap", "0.05", "--exam-share", "1", "--exam-daily", "5000"]
SECONDS = 90.0
ENOUGH = 30
"""Questions after which no further answer makes a difference: half of them are of lamps."""


async def asked(node: str) -> dict[str, int]:
    """How many questions each device was asked, by name."""
    return {d["name"]: d["asked"] for d in (await fetch_standings(node))["devices"]}


async def test_a_device_finds_the_better_one_and_still_knows_it_after_a_restart(
    tmp_path: Path,
) -> None:
    file = tmp_path / "own.jsonl"
    lines = [{"question": f"Which lamp is number {i}?", "answers": ["blue"]} for i in range(60)]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    llms = [SCRIPT.format("red"), SCRIPT.format("blue")]
    async with LocalNetwork(2, llms, EAGER, {"DMOA_EXAMS": "true"}) as network:
        owner, peer = network.devices
        assert (await ask_async("Why?", node=owner.url)).text == "red"
        status, _, said = await run_cli("exam", "--node", owner.url, "--add", str(file), "--json")
        assert status == 0, said
        assert "60 questions were added" in said
        again, _, refused = await run_cli("exam", "--node", owner.url, "--add", str(file))
        assert again == 1
        assert "a duplicate, known already" in refused
        async with asyncio.timeout(SECONDS):
            while min((await asked(owner.url)).values()) < ENOUGH:
                await asyncio.sleep(0.5)
        reply = await ask_async("Why?", node=owner.url)
        assert reply.text == "blue", (reply.dmoa["why"], reply.dmoa["notes"])
        assert reply.dmoa["tasks"] == 1
        assert reply.dmoa["plan"]["aggregator"] == peer.name
        assert reply.dmoa["why"].startswith(f"{peer.name}'s LLM was right in")
        found = {d["name"]: d for d in (await fetch_standings(owner.url))["devices"]}
        assert found[peer.name]["right"] > found[owner.name]["right"]

        assert await owner.stop() == 0
        await owner.start()
        await network.joined(2)
        known = {d["name"]: d for d in (await fetch_standings(owner.url))["devices"]}
        assert known[peer.name]["right"] >= found[peer.name]["right"]
        reply = await ask_async("Why?", node=owner.url)
        assert reply.text == "blue", (reply.dmoa["why"], reply.dmoa["notes"])
        for command in ("exam", "status"):
            status, shown, _ = await run_cli(command, "--node", owner.url)
            assert status == 0
            assert re.search(r"\b\d+ of \d+\b", shown), shown
