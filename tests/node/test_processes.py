"""End to end: real processes, real Zenoh over loopback, a real LLM, the official client."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
import zenoh

import dmoa
from dmoa.client import client, fetch_status
from dmoa.errors import DmoaError, PeerError
from dmoa.llm import builtin
from dmoa.network.interface import Send
from dmoa.network.messages import Refused, encode
from dmoa.network.sealed import SealedNetwork
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.local import DeviceProcess, LocalNetwork, free_ports
from dmoa.trust import personal
from tests.leftovers import left_behind
from tests.trusted import credentials, self_made

ASK: list[Any] = [{"role": "user", "content": "Name three colours."}]
pytestmark = pytest.mark.processes
DEAD = "openai:http://127.0.0.1:1/v1#m"
SLOW = "scripted:deterministic,mean=1.5,answer=one two three four five six seven eight"


async def run_cli(
    *arguments: str, stdin: str = "", environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """A `dmoa` command; its exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dmoa"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "100", **(environment or {})},
    )
    async with asyncio.timeout(90):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), " ".join(err.decode().split())


@pytest.mark.real
async def test_several_real_llms_answer_one_prompt_together(tmp_path: Path) -> None:
    builtin.get("smollm2")
    arguments = ["--threads", "1", "--context", "1024"]
    async with LocalNetwork(3, "smollm2", arguments) as network:
        async with client(network.devices[1].url, None) as api:
            stream = await api.chat.completions.create(
                model="dmoa-m1-k2", messages=ASK, max_tokens=16, stream=True, seed=1
            )
            texts: list[str] = []
            tree: dict[str, Any] = {}
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    texts.append(chunk.choices[0].delta.content)
                tree = (chunk.model_extra or {}).get("dmoa") or tree
            assert len(texts) > 3, "real tokens, as they come"
            assert tree["tasks"] == 4
            proposers = tree["layers"][0]["proposers"]
            assert {p["name"] for p in proposers} == {"ada", "bob", "cyd"}
            assert all(p["model"] == "smollm2" and p["preview"] for p in proposers)
            assert all(0 < p["usage"]["completion_tokens"] <= 16 for p in proposers)
            whole = await api.chat.completions.create(
                model="smollm2", messages=ASK, max_tokens=8, temperature=0
            )
            assert whole.choices[0].message.content
        # The commands of a user.
        url = network.devices[0].url
        status, out, err = await run_cli(
            *("ask", "Name a colour.", "--node", url, "--model", "dmoa-m1-k1"),
            *("--max-tokens", "8", "--json"),
        )
        assert status == 0, err
        answer = json.loads(out)
        assert answer["answer"]
        assert answer["dmoa"]["tasks"] == 3
        status, out, err = await run_cli(
            *("ask", "Name a colour.", "--node", url, "--model", "dmoa-m1-k1", "--json"),
            *("--max-tokens", "8", "--method", "select", "--early-stop"),
        )
        assert status == 0, err
        assert json.loads(out)["dmoa"]["tasks"] == 2
        for command in ("ask", "chat"):
            asked = ["?"] if command == "ask" else []
            status, _, err = await run_cli(
                command, *asked, "--node", url, "--method", "dance", stdin="?"
            )
            assert status == 2
            assert "--method 'dance' is none of synthesise, select, vote" in err
        status, out, err = await run_cli(
            *("ask", "-", "--node", url, "--max-tokens", "6"), stdin="Say hello."
        )
        assert status == 0, err
        assert out.strip()
        assert "1 inference" in err
        status, out, err = await run_cli(
            *("chat", "--node", url, "--model", "smollm2", "--max-tokens", "6"),
            stdin="Hello.\nAnd again?\n\n",
        )
        assert status == 0, err
        assert err.count("1 inference") == 2
        status, out, _ = await run_cli("status", "--node", url, "--json")
        devices = json.loads(out)["devices"]
        assert sorted(d["name"] for d in devices) == ["ada", "bob", "cyd"]
        assert all(d["alpha"] > 0 for d in devices), "each has proposed in the first prompt"
        assert devices[0]["load"] > 0
        status, out, _ = await run_cli("status", "--node", url)
        assert status == 0
        assert "smollm2" in out
        reply = await dmoa.ask_async("Name a colour.", node=url, model="smollm2", max_tokens=4)
        assert reply.text
        assert reply.usage["completion_tokens"] <= 4
        folder = network.folder
    assert not folder.exists()
    assert [d.returncode for d in network.devices] == [0, 0, 0]


async def test_a_client_gets_its_whole_streamed_answer_while_a_peer_is_killed() -> None:
    async with LocalNetwork(4, SLOW) as network:
        async with client(network.devices[0].url, None) as api:
            stream = await api.chat.completions.create(
                model="dmoa-m2-k2",
                messages=ASK,
                stream=True,
                extra_body={"dmoa": {"progress": True}},
            )
            text, killed = "", ""
            tree: dict[str, Any] = {}
            async for chunk in stream:
                told: dict[str, Any] = (chunk.model_extra or {}).get("dmoa") or {}
                if told.get("type") == "layer_started" and not killed:
                    await asyncio.sleep(0.4)  # in the middle of the layer
                    killed = told["proposers"][1]["name"]
                    next(d for d in network.devices if d.name == killed).kill()
                if chunk.choices:
                    text += chunk.choices[0].delta.content or ""
                    tree = told or tree
        assert text == "one two three four five six seven eight"
        first = {p["name"]: p["outcome"] for p in tree["layers"][0]["proposers"]}
        assert first.pop(killed) == "gone"
        assert list(first.values()) == ["answered"] * 3
        assert tree["replacements"] == 1
        # One inference more, and nobody asks the dead any more.
        assert tree["seconds"] < 3 * 1.5 + 1.5 + 2
        assert killed not in {p["name"] for p in tree["layers"][1]["proposers"]}
        alive = [d for d in network.devices if d.name != killed]
        await network.joined(3, alive)


async def test_a_stopped_peer_is_replaced_and_comes_back_when_it_goes_on() -> None:
    async with LocalNetwork(3, "scripted:deterministic,mean=0.1") as network:
        stopped = network.devices[2]
        stopped.signal(signal.SIGSTOP)
        try:
            reply = await dmoa.ask_async("?", node=network.devices[0].url, model="dmoa-m1-k2")
            outcome = {p["name"]: p["outcome"] for p in reply.dmoa["layers"][0]["proposers"]}
            assert outcome == {"ada": "answered", "bob": "answered", stopped.name: outcome["cyd"]}
            assert outcome["cyd"] in ("gone", "silent")
            assert reply.dmoa["seconds"] < 8
            await network.joined(2, network.devices[:2])
        finally:
            stopped.signal(signal.SIGCONT)
        await network.joined(3)


async def test_a_link_that_was_learnt_by_gossip_and_lost_is_dialled_anew() -> None:
    async with LocalNetwork(3, "scripted:deterministic,mean=0.1") as network:
        first, middle, last = network.devices
        # Without the device through which they met, nothing but memory leads them together.
        first.kill()
        last.signal(signal.SIGSTOP)
        try:
            await network.joined(1, [middle])
        finally:
            last.signal(signal.SIGCONT)
        await network.joined(2, [middle, last])
        reply = await dmoa.ask_async("?", node=middle.url, model="dmoa-m1-k1")
        assert [p["outcome"] for p in reply.dmoa["layers"][0]["proposers"]] == ["answered"] * 2


async def test_a_device_is_itself_again_after_a_restart_and_joins_by_what_it_remembers() -> None:
    async with LocalNetwork(3, "scripted:deterministic,mean=0.01") as network:
        first, last = network.devices[0], network.devices[2]
        before = (await fetch_status(last.url))["id"]
        # The device that the last one was told of is gone; it must remember the other.
        first.kill()
        await network.joined(2, network.devices[1:])
        assert await last.stop() == 0
        await network.joined(1, [network.devices[1]])
        await last.start()
        await network.joined(2, network.devices[1:])
        assert (await fetch_status(last.url))["id"] == before


async def test_sigterm_finishes_what_was_accepted_and_ends_with_zero() -> None:
    async with LocalNetwork(2, SLOW) as network:
        node, peer = network.devices
        asking = asyncio.create_task(dmoa.ask_async("?", node=node.url, model="dmoa-m1-k1"))
        while not (await fetch_status(peer.url))["devices"][0]["serving"]:
            await asyncio.sleep(0.05)
        for device in (node, peer):
            device.signal(signal.SIGTERM)
        reply = await asking
        outcomes = [p["outcome"] for p in reply.dmoa["layers"][0]["proposers"]]
        assert outcomes == ["answered", "answered"]
        assert [await device.stop() for device in network.devices] == [0, 0]


async def test_devices_end_with_whoever_started_them(tmp_path: Path) -> None:
    network, api = free_ports(2)
    device = DeviceProcess(
        "ada",
        tmp_path,
        [
            *("--llm", "scripted:deterministic,mean=0", "--listen", f"tcp/127.0.0.1:{network}"),
            *("--api", f"127.0.0.1:{api}"),
        ],
    )
    await device.start()
    assert device._process is not None
    assert device._process.stdin is not None
    device._process.stdin.close()  # as when the starter is killed
    async with asyncio.timeout(20):
        assert await device._process.wait() == 0
    await device.stop()


def settings_of(*more: str) -> Sequence[str]:
    network, api = free_ports(2)
    base = ["up", "--llm", "scripted:deterministic,mean=0", "--listen", f"tcp/127.0.0.1:{network}"]
    return [*base, "--api", f"127.0.0.1:{api}", *more]


async def test_what_up_refuses_and_how_it_says_so(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases: list[tuple[list[str], dict[str, str], int, str]] = [
            (["--api", f"127.0.0.1:{port}"], {}, 2, f"cannot serve the API on 127.0.0.1:{port}"),
            (["--api", "0.0.0.0:0"], {}, 2, "protect it by a key"),
            (["--api", "nowhere"], {}, 2, "'nowhere' is no HOST:PORT"),
            (["--listen", f"tcp/127.0.0.1:{port}"], {}, 2, "the address is taken"),
            (["--listen", "tcp/0.0.0.0:7999"], {}, 2, "Add --open"),
            (["--connect", "tcp/192.0.2.7:7447"], {}, 2, "Add --open"),
            (["--connect", "somewhere"], {}, 2, "'somewhere' is no address"),
            (["--multicast"], {}, 2, "or --open"),
            (["--discipline", "lifo"], {}, 2, "'lifo' is not one of"),
            (["--layers", "9"], {}, 2, "setting layers = 9"),
            (["--llm", str(tmp_path / "no.gguf")], {}, 2, "no.gguf: No such file"),
            (["--llm", DEAD, "--llm-wait-seconds", "0"], {}, 1, "no OpenAI-compatible server"),
            ([], {"DMOA_SLOTS": "none"}, 2, "setting slots = 'none'"),
            (["--api-key-file", str(tmp_path / "nokey")], {}, 2, "cannot read the key file"),
            (["--state", "/dev/null/x"], {}, 2, "cannot use the state folder /dev/null/x"),
        ]
        for more, environment, expected, said in cases:
            status, out, err = await run_cli(*settings_of(*state, *more), environment=environment)
            assert (status, out) == (expected, ""), f"{more}: {status} {out} {err}"
            assert said in err, f"{more}: {err}"
            assert "Traceback" not in err


async def test_two_devices_cannot_share_one_identity(tmp_path: Path) -> None:
    async with LocalNetwork(1, "scripted:deterministic,mean=0") as network:
        state = str(network.folder / "ada")
        status, _, err = await run_cli(*settings_of("--state", state))
        assert status == 2
        assert "is in use by another running device" in err


async def test_a_node_with_a_key_answers_only_those_who_show_it(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("secret-one\nsecret-two\n")
    arguments = ["--api-key-file", str(tmp_path / "keys")]
    network, api = free_ports(2)
    device = DeviceProcess(
        "ada",
        tmp_path,
        [
            *("--llm", "scripted:deterministic,mean=0", "--listen", f"tcp/127.0.0.1:{network}"),
            *("--api", f"127.0.0.1:{api}", *arguments),
        ],
    )
    await device.start()
    try:
        with pytest.raises(DmoaError, match="refuses \\(401\\)"):
            await dmoa.ask_async("?", node=device.url)
        reply = await dmoa.ask_async("?", node=device.url, key="secret-two")
        assert reply.text == "This is the scripted answer of ada."
    finally:
        assert await device.stop() == 0


async def test_a_peer_address_that_is_something_else_is_said_and_the_node_goes_on() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    nobody = free_ports(1)[0]
    arguments = [
        *("--connect", f"tcp/127.0.0.1:{port}", "--connect", f"tcp/127.0.0.1:{nobody}"),
    ]
    async with other, LocalNetwork(1, "scripted:deterministic,mean=0", arguments) as network:
        url = network.devices[0].url
        async with asyncio.timeout(30):
            while len(problems := (await fetch_status(url))["problems"]) < 2:
                await asyncio.sleep(0.2)
        assert f"tcp/127.0.0.1:{port} answers, but not as a dmoa device" in problems[0]
        assert f"nobody answers at tcp/127.0.0.1:{nobody}" in problems[1]
        assert (await dmoa.ask_async("?", node=url)).text


def peer_of(network: LocalNetwork, known: list[str]) -> SealedNetwork:
    """A peer that is a member, for what members may do to each other."""
    holder = self_made(personal.authority(network.home))
    listen = [f"tcp/127.0.0.1:{free_ports(1)[0]}"]
    name = holder.root.fingerprint
    return SealedNetwork(ZenohNetwork(listen, known, holder.credentials(), name=name), holder)


async def test_another_users_program_on_this_machine_gets_no_link(tmp_path: Path) -> None:
    """Whoever reaches the port, and whatever bridges the loopback address, stays outside."""
    async with LocalNetwork(2, "scripted:deterministic,mean=0") as network:
        listen = [device.listens for device in network.devices]
        foreign = credentials(personal.authority(tmp_path))
        stranger = ZenohNetwork([f"tcp/127.0.0.1:{free_ports(1)[0]}"], listen, foreign)
        plain = zenoh.Config()
        for key, value in (
            ("mode", "peer"),
            ("scouting/multicast/enabled", False),
            ("connect/endpoints", listen),
        ):
            plain.insert_json5(key, json.dumps(value))
        await stranger.open("stranger", refuse, lambda: None)
        try:
            with await asyncio.to_thread(zenoh.open, plain) as router:
                # A member is let in meanwhile, so that the others had their time.
                member = peer_of(network, listen)
                await member.open(member.holder.device, refuse, lambda: None)
                async with asyncio.timeout(20):
                    while len(member.alive()) < 2:
                        await asyncio.sleep(0.05)
                await member.close()
                assert not router.info.peers_zid()
                assert not list(router.liveliness().get("**", timeout=1.0))
            assert not stranger.alive()
            assert not stranger.linked()
        finally:
            await stranger.close()


async def refuse(_: str, payload: bytes, send: Send) -> None:
    send(encode(Refused("draining")))


async def test_strangers_with_garbage_are_refused_and_the_node_goes_on() -> None:
    """A Zenoh peer of the same network that speaks nonsense, or another version."""

    async def nonsense(_: str, payload: bytes, send: Send) -> None:
        send(b"\x00\xff nonsense")

    async with LocalNetwork(2, "scripted:deterministic,mean=0") as network:
        known = network.devices[0].listens
        stranger = peer_of(network, [known])
        await stranger.open(stranger.holder.device, nonsense, lambda: None)
        try:
            async with asyncio.timeout(20):
                while len(stranger.alive()) < 2:
                    await asyncio.sleep(0.05)
                device = (await fetch_status(network.devices[0].url))["id"]
                for payload in (b"", b"\x00" * 1000, b"dmoa\x09\x00\x80", b"dmoa\x01\x00junk"):
                    replies: list[bytes] = []
                    await stranger.ask(device, payload, replies.append, 20.0)
                    assert len(replies) == 1
                    assert b"refused" in replies[0]
                while not (found := await fetch_status(network.devices[0].url))["strangers"]:
                    await asyncio.sleep(0.1)
            assert stranger.holder.device in found["strangers"]
            assert len(found["devices"]) == 2
            reply = await dmoa.ask_async("?", node=network.devices[0].url, model="dmoa-m1-k3")
            assert reply.dmoa["k"] == 1, "the stranger is no proposer"
        finally:
            await stranger.close()


@pytest.mark.real
async def test_the_demo_shows_it_all_and_leaves_nothing_behind(tmp_path: Path) -> None:
    builtin.get("smollm2")
    before = left_behind()
    scratch = {"TMPDIR": str(tmp_path), "COLUMNS": "110"}
    status, out, err = await run_cli(
        *("demo", "--devices", "3", "Name two fruits."), environment=scratch
    )
    assert status == 0, err
    for shown in ("ada's user asks", "layer 1/1", "bob", "cyd", "What the answers cost", "dmoa up"):
        assert shown in out, out
    assert not list(tmp_path.iterdir()), "files were left behind"
    assert set(left_behind()) <= set(before), "processes were left behind"


async def test_an_unpatched_client_of_a_dead_node_gets_a_clear_error() -> None:
    status, out, err = await run_cli("ask", "?", "--node", "http://127.0.0.1:1")
    assert (status, out) == (1, "")
    assert err == "error: no dmoa node answers at http://127.0.0.1:1; start one by `dmoa up`"
    status, _, err = await run_cli("ask", "?", "--node", "localhost")
    assert status == 2
    assert "is no URL" in err
    with pytest.raises(openai.APIConnectionError):
        async with client("http://127.0.0.1:1", None) as api:
            await api.models.retrieve("dmoa")


async def test_a_full_link_to_a_stopped_peer_stops_nothing_else() -> None:
    longest = 0.0

    async def watch_the_loop() -> None:
        nonlocal longest
        clock = asyncio.get_running_loop().time
        while True:
            before = clock()
            await asyncio.sleep(0.02)
            longest = max(longest, clock() - before)

    async with LocalNetwork(2, "scripted:deterministic,mean=0") as network:
        stopped = network.devices[0]
        known = [device.listens for device in network.devices]
        ids = [(await fetch_status(device.url))["id"] for device in network.devices]
        asker = peer_of(network, known)
        await asker.open(asker.holder.device, refuse, lambda: None)
        watching = asyncio.create_task(watch_the_loop())
        try:
            async with asyncio.timeout(20):
                while len(asker.alive()) < 2:
                    await asyncio.sleep(0.05)
            stopped.signal(signal.SIGSTOP)
            large = [
                asyncio.create_task(asker.ask(ids[0], b"x" * 12_000_000, lambda _: None, 60.0))
                for _ in range(2)
            ]
            await asyncio.sleep(0.6)  # nothing tells when the link is full
            for asking in large:
                asking.cancel()
            heard: list[bytes] = []
            small = asyncio.create_task(asker.ask(ids[0], b"?", lambda _: None, 1.0))
            await asker.ask(ids[1], b"?", heard.append, 5.0)
            assert b"refused" in heard[0]
            with pytest.raises(PeerError):
                await small
            await asyncio.gather(*large, return_exceptions=True)
        finally:
            watching.cancel()
            stopped.signal(signal.SIGCONT)
            await asker.close()
    assert longest < 2.0, "the event loop stood still"
