"""A disk that is really full: a small tmpfs in a mount namespace of the device's own.

Prompts in the background are accepted until there is no room; then they are refused, everything
else goes on, and once there is room again all that was accepted is answered.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dmoa.node.local import DeviceProcess, free_ports

BYTES, OTHER_BYTES = 2 * 2**20, 2**20
LLM = "scripted:deterministic,mean=0.01,answer=here it is"
SECONDS = 60.0


@cache
def unavailable() -> str | None:
    """Why there can be no mount namespace here; None if there can."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "there is no `unshare` command"
    mount = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    return f"no mount namespaces: {done.stderr.strip()}" if done.returncode else None


@dataclass
class Found:
    """What became of prompts."""

    accepted: int = 0
    refused: list[int] = field(default_factory=list)
    served_meanwhile: int = 0
    accepted_after: int = 0
    answered: int = 0


def call(url: str, body: Any = None) -> tuple[int, Any]:
    """Ask a node."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def full_disk(folder: Path) -> Found:
    """Fill a disk by prompts, make room, and look at what became of them."""
    api, link = free_ports(2)
    state = folder / "ada"
    state.mkdir()
    arguments = ["--llm", LLM, "--api", f"127.0.0.1:{api}", "--listen", f"tcp/127.0.0.1:{link}"]
    small = f'mount -t tmpfs -o size={BYTES} none {state} && exec "$@"'
    device = DeviceProcess(
        "ada",
        folder,
        [*arguments, "--no-exams"],
        {"DMOA_HOME": str(folder)},
        prefix=["unshare", "-m", "sh", "-c", small, "sh"],
    )
    found = Found()

    async def ask(path: str, body: Any = None) -> tuple[int, Any]:
        return await asyncio.to_thread(call, device.url + path, body)

    def inside(*command: str) -> None:
        subprocess.run(["nsenter", "-m", "-t", str(device.pid), *command], check=True)

    prompt = {
        "model": "dmoa-m0-k0",
        "messages": [{"role": "user", "content": "Why? " * 4000}],
        "dmoa": {"background": True},
    }
    await device.start()
    try:
        inside("sh", "-c", f"head -c {OTHER_BYTES} /dev/zero > {state}/other")
        urls: list[str] = []
        while not found.refused:
            status, told = await ask("/v1/chat/completions", prompt)
            if status == 202:
                urls.append(told["url"])
            else:
                found.refused.append(status)
        found.accepted = len(urls)
        waits = {name: value for name, value in prompt.items() if name != "dmoa"}
        found.served_meanwhile = (await ask("/v1/chat/completions", waits))[0]
        inside("rm", f"{state}/other")
        found.accepted_after, told = await ask("/v1/chat/completions", prompt)
        async with asyncio.timeout(SECONDS):
            for url in urls:
                while (now := (await ask(url))[1])["status"] != "completed":
                    assert now["status"] in ("queued", "in_progress"), now
                    await asyncio.sleep(0.1)
                found.answered += 1
    finally:
        await device.stop()
    return found


def torture(seed: int, seconds: float) -> dict[str, Any]:
    """Once; see the package."""
    if why := unavailable():
        return {"skipped": why, "failed": []}
    with tempfile.TemporaryDirectory(prefix="dmoa-torture-") as folder:
        found = asyncio.run(full_disk(Path(folder)))
    failed = [] if found.refused == [507] else [f"refused with {found.refused}"]
    if found.served_meanwhile != 200 or found.accepted_after != 202:
        failed.append(f"{found.served_meanwhile} while it was full, {found.accepted_after} after")
    if found.answered != found.accepted:
        failed.append(f"{found.accepted} accepted, {found.answered} answered")
    return {"accepted": found.accepted, "answered": found.answered, "failed": failed}
