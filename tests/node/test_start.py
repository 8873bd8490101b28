"""What a device needs to start: a folder it can write, and its turn to choose a port."""

import asyncio
from pathlib import Path

import pytest
from filelock import FileLock

from dmoa.client import fetch_status
from dmoa.errors import UsageError
from dmoa.node import process, upkeep
from dmoa.node.local import DeviceProcess, LocalNetwork, free_ports
from dmoa.node.process import serve
from dmoa.node.settings import load_settings
from dmoa.trust import personal
from dmoa.trust.authority import Authority

INSTANT = "scripted:deterministic,mean=0"


async def start(folder: Path) -> None:
    """Start a device, and end it as soon as it runs."""
    until = asyncio.Event()
    until.set()
    settings = load_settings({"state": folder / "state", "api": "127.0.0.1:0", "name": "ada"})
    await serve(settings, INSTANT, lambda line: None, until)


async def test_a_lock_that_another_holds_is_waited_for_without_stopping_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DMOA_HOME", str(tmp_path))
    monkeypatch.setattr(process, "START_SECONDS", 0.3)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    counting = asyncio.create_task(count())
    held = FileLock(tmp_path / "ports.lock")
    with held, pytest.raises(UsageError, match=r"holds .*ports\.lock; end it"):
        await start(tmp_path)
    counting.cancel()
    assert turns > 10, "the event loop stood still"


@pytest.mark.parametrize("what", ["home", "state"])
async def test_a_folder_that_cannot_be_used_is_named_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (tmp_path / what).write_text("a file where a folder should be")
    monkeypatch.setenv("DMOA_HOME", str(tmp_path / "home"))
    with pytest.raises(UsageError, match="DMOA_HOME" if what == "home" else "--state"):
        await start(tmp_path)


def test_the_authority_of_a_user_is_made_once_and_is_the_users_alone(tmp_path: Path) -> None:
    first, second = personal.authority(tmp_path), personal.authority(tmp_path)
    assert isinstance(first, Authority)
    assert first.certificate == second.certificate
    assert (tmp_path / "network.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_authority_is_named_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    personal.authority(tmp_path)
    (tmp_path / "network.key").write_bytes(content)
    with pytest.raises(UsageError, match="are no authority .* remove both"):
        personal.authority(tmp_path)
    assert (tmp_path / "network.key").read_bytes() == content


@pytest.mark.processes
async def test_a_device_that_is_linked_by_its_name_is_no_problem() -> None:
    instant = "scripted:deterministic,mean=0"
    async with LocalNetwork(1, instant) as network:
        first = network.devices[0]
        port = first.listens.rpartition(":")[2]
        other = DeviceProcess(
            "bob",
            network.folder,
            [
                *("--llm", instant, "--api", "127.0.0.1:0"),
                *("--listen", f"tcp/127.0.0.1:{free_ports(1)[0]}"),
                *("--connect", f"tcp/localhost:{port}"),
            ],
            {"DMOA_HOME": str(network.home)},
        )
        await other.start()
        try:
            await network.joined(2, [other])
            looks = asyncio.get_running_loop().time() + 2.5 * upkeep.LOOK_SECONDS
            while asyncio.get_running_loop().time() < looks:
                assert not (await fetch_status(other.url))["problems"]
                await asyncio.sleep(0.2)
        finally:
            await other.stop()
