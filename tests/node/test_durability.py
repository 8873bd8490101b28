"""Real processes: what was accepted is answered after kill -9, and a disk that is really full."""

import asyncio
from pathlib import Path

import pytest

from dmoa.node.local import DeviceProcess, free_ports
from tests.torture.disk import call, full_disk, unavailable

pytestmark = pytest.mark.processes
SLOW = "scripted:deterministic,mean=30,answer=too slow to be seen"
QUICK = "scripted:deterministic,mean=0.05,answer=here it is"


def device(folder: Path, llm: str) -> DeviceProcess:
    api, link = free_ports(2)
    arguments = ["--llm", llm, "--api", f"127.0.0.1:{api}", "--listen", f"tcp/127.0.0.1:{link}"]
    return DeviceProcess("ada", folder, [*arguments, "--no-exams"], {"DMOA_HOME": str(folder)})


async def test_what_was_accepted_survives_kill_9_and_is_answered_after_the_restart(
    tmp_path: Path,
) -> None:
    first = device(tmp_path, SLOW)
    await first.start()
    try:
        ask = {"model": "dmoa-m0-k0", "input": "Why?", "background": True}
        told = [await asyncio.to_thread(call, f"{first.url}/v1/responses", ask) for _ in range(6)]
        assert [status for status, _ in told] == [200] * 6
    finally:
        first.kill()
        await first.stop()
    again = device(tmp_path, QUICK)
    await again.start()
    try:
        async with asyncio.timeout(30):
            for _, response in told:
                url = f"{again.url}/v1/responses/{response['id']}"
                while (found := (await asyncio.to_thread(call, url))[1])["status"] != "completed":
                    assert found["status"] in ("queued", "in_progress"), found
                    await asyncio.sleep(0.05)
                assert found["output"][-1]["content"][0]["text"] == "here it is"
    finally:
        await again.stop()


async def test_a_disk_that_is_really_full_refuses_loses_nothing_and_heals(tmp_path: Path) -> None:
    if why := unavailable():
        pytest.skip(why)
    found = await full_disk(tmp_path)
    assert found.refused == [507]
    assert found.accepted_after == 202
    assert found.answered == found.accepted
