"""A private network of real processes with QUIC links, and intruders with real Zenoh sessions."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import zenoh

import dmoa
from dmoa.client import fetch_status
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.identity import load_identity
from dmoa.node.local import DeviceProcess, free_ports
from dmoa.trust.authority import Authority
from dmoa.trust.private import PrivateNetwork
from tests.trusted import credentials

pytestmark = pytest.mark.processes
DEADLINE = 30.0
PROMPT = "xyzzy is a word that nobody else may read"


class House:
    """ada, who made the network, and devices that joined by invite, each a process."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        ports = free_ports(2 * len(names) + 2)
        self.listens = f"quic/127.0.0.1:{ports[0]}"
        key = load_identity(folder / "ada").key
        PrivateNetwork.create(folder / "ada", key, "house", "ada")
        authority = self.ada.authority(None)
        self.devices: dict[str, DeviceProcess] = {}
        for i, name in enumerate(["ada", *names]):
            if i:
                how: Any = {"seconds": 3600, "days": None, "addresses": [self.listens]}
                load_identity(folder / name)
                PrivateNetwork.join(folder / name, self.ada.invite(authority, name, **how), "it")
            arguments = [
                *("--llm", "scripted:deterministic,mean=0", "--no-exams"),
                *("--listen", f"quic/127.0.0.1:{ports[2 * i]}"),
                *("--api", f"127.0.0.1:{ports[2 * i + 1]}"),
            ]
            home = {"DMOA_HOME": str(folder / "home")}
            self.devices[name] = DeviceProcess(name, folder, arguments, home)

    @property
    def ada(self) -> PrivateNetwork:
        return PrivateNetwork(self.folder / "ada")

    async def status(self, name: str) -> dict[str, Any]:
        return await fetch_status(self.devices[name].url)

    async def sees(self, name: str) -> set[str]:
        return {d["name"] for d in (await self.status(name))["devices"] if d["alive"]}

    async def problems(self, name: str) -> str:
        return " | ".join((await self.status(name))["problems"])


@asynccontextmanager
async def house(folder: Path, *names: str) -> AsyncGenerator[House, None]:
    made = House(folder, *names)
    try:
        for device in made.devices.values():
            await device.start()
        everybody = set(made.devices)
        for name in everybody:
            await until(lambda name=name: made.sees(name), lambda seen: seen == everybody)  # type: ignore[misc]
        yield made
    finally:
        await asyncio.gather(*(device.stop() for device in made.devices.values()))


async def until(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> float:
    """Wait until what is seen is so; how long it took."""
    begun = time.monotonic()
    while not is_so(seen := await look()):
        assert time.monotonic() - begun < DEADLINE, seen
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


async def test_a_revoked_device_is_out_on_every_member_and_told_why(tmp_path: Path) -> None:
    async with house(tmp_path, "bob", "cyd") as h:
        network = (await h.status("cyd"))["network"]
        assert (network["name"], network["kind"], network["public"]) == ("house", "private", False)
        assert h.ada.member.addresses == [h.listens], "so that the next invite leads here"
        h.ada.revoke(h.ada.authority(None), "bob")  # as the command does, beside the process
        took = await until(lambda: h.sees("ada"), lambda seen: seen == {"ada", "cyd"})
        took += await until(lambda: h.sees("cyd"), lambda seen: seen == {"ada", "cyd"})
        print(f"out after {took:.1f} s")
        await until(lambda: h.problems("bob"), lambda said: "this device was revoked" in said)
        await until(lambda: h.problems("cyd"), lambda said: "bob is refused" in said)
        assert await h.sees("bob") == {"bob"}
        alone = await dmoa.ask_async("?", node=h.devices["bob"].url, model="dmoa-m1-k2")
        assert alone.dmoa["k"] == 0
        bob = h.devices["bob"]
        await bob.stop()
        await bob.start()
        await until(lambda: h.problems("bob"), lambda said: "this device was revoked" in said)
        assert await h.sees("ada") == {"ada", "cyd"}


async def test_a_session_that_answers_for_all_reads_nothing_and_is_not_believed(
    tmp_path: Path,
) -> None:
    """A member's certificate opens links; it lets nobody read, nor speak for another."""
    async with house(tmp_path, "bob", "cyd") as h:
        await h.devices["bob"].stop()
        stolen = PrivateNetwork(tmp_path / "bob")
        held = stolen.holder(load_identity(tmp_path / "bob").key).credentials()
        transport = ZenohNetwork([], [h.listens, h.devices["cyd"].listens], held)
        seen: list[bytes] = []

        def spoil(query: zenoh.Query) -> None:
            seen.append(b"" if query.payload is None else query.payload.to_bytes())
            query.reply(query.key_expr, b"\x82\xa4type\xa6denied\xa3why\xa2no")
            query.drop()

        config = transport._config([], [h.listens, h.devices["cyd"].listens])
        session = await asyncio.to_thread(zenoh.open, config)
        try:
            session.declare_queryable("dmoa/**", zenoh.handlers.Callback(spoil, indirect=False))

            def tokens() -> list[str]:
                found = session.liveliness().get("dmoa/**")
                return [str(reply.ok.key_expr) for reply in found if reply.ok]

            await until(lambda: asyncio.to_thread(tokens), lambda found: len(found) >= 2)
            ids = [(await h.status(name))["id"] for name in ("ada", "cyd")]
            assert not any(id_ in token for id_ in ids for token in tokens())
            for name in ("ada", "cyd"):
                url = h.devices[name].url
                reply = await dmoa.ask_async(PROMPT, node=url, model="dmoa-m1-k1")
                outcomes = [p["outcome"] for p in reply.dmoa["layers"][0]["proposers"]]
                assert outcomes == ["answered", "answered"]
            await until(lambda: asyncio.sleep(0, len(seen)), bool)
            assert not any(b"xyzzy" in payload for payload in seen), "it has read a prompt"
            assert not any(name == b"ada" for payload in seen for name in payload.split(b"\xa3"))
        finally:
            await asyncio.to_thread(session.close)


async def test_strangers_get_no_link_and_the_dialler_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, "bob") as h:
        port = free_ports(2)
        foreign = credentials(Authority(*Authority.create()))
        stranger = ZenohNetwork([f"quic/127.0.0.1:{port[0]}"], [h.listens], foreign)
        plain = zenoh.Config()
        for key, value in (
            ("mode", "peer"),
            ("scouting/multicast/enabled", False),
            ("connect/endpoints", [h.listens, h.listens.replace("quic", "tcp")]),
        ):
            plain.insert_json5(key, json.dumps(value))
        alone = DeviceProcess(
            "eve",
            tmp_path,
            [
                *("--llm", "scripted:deterministic,mean=0", "--api", f"127.0.0.1:{port[1]}"),
                *("--listen", "quic/127.0.0.1:0", "--connect", h.listens),
            ],
            {"DMOA_HOME": str(tmp_path / "eves")},
        )
        h.devices["eve"] = alone
        await stranger.open("stranger", nobody, lambda: None)
        try:
            with await asyncio.to_thread(zenoh.open, plain) as bare:
                await alone.start()
                await until(
                    lambda: h.problems("eve"),
                    lambda said: "is of another network or none" in said,
                )
                assert not bare.info.peers_zid()
                assert not list(bare.liveliness().get("**", timeout=1.0))
            assert not stranger.alive()
            assert await h.sees("ada") == {"ada", "bob"}
            assert await h.sees("eve") == {"eve"}
        finally:
            await stranger.close()


async def nobody(_: str, payload: bytes, send: Callable[[bytes], None]) -> None:
    send(payload)
