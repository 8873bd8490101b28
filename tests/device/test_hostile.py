"""Peers are not trusted: whatever one says, the others' prompts are answered."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dmoa.llm.tokens import estimate_tokens
from dmoa.network.addresses import is_loopback, is_plain, parse
from dmoa.network.interface import Send
from dmoa.network.memory import MemoryNetwork
from dmoa.network.messages import (
    Cancel,
    Card,
    Hello,
    Infer,
    Refused,
    Welcome,
    decode_reply,
    decode_request,
    encode,
)
from dmoa.node.known import KnownPeers
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import Message
from dmoa.protocol.packing import pack, quoted
from dmoa.protocol.tasks import Task
from dmoa.text import check_url, printable
from tests.cluster import Cluster
from tests.virtual import run_virtual

HEAD = b"dmoa\x01\x00"
USER = Message(role="user", content="Why?")
ESCAPE = "\x1b]0;PWNED\x07\x1b[2J"


def packed(**fields: Any) -> bytes:
    return HEAD + msgspec.msgpack.encode(fields)


def answer(**fields: Any) -> bytes:
    base = {
        "type": "answer",
        "text": "x",
        "finish_reason": "stop",
        "usage": {},
        "queue_seconds": 0.0,
        "service_seconds": 0.0,
    }
    return packed(**{**base, **fields})


def nested(depth: int) -> bytes:
    lists = b"\x91" * depth + b"\xc0"
    return HEAD + b"\x83\xa4type\xa5piece\xa4text\xa1x\xa3zzz" + lists


REPLIES: dict[str, bytes] = {
    "garbage": b"\x00\xff",
    "nothing": b"",
    "another version": b"dmoa\x09\x00\x80",
    "deep nesting": nested(5000),
    "a request": encode(Cancel("t")),
    "endless text": answer(text="w " * 2_000_000),
    "an odd finish reason": answer(finish_reason="zz"),
    "negative tokens": answer(usage={"prompt_tokens": -5}),
    "nan seconds": answer(service_seconds=float("nan")),
    "tool calls of a wrong type": answer(tool_calls=[{"index": [1]}]),
    "busy for ever": packed(type="refused", reason="busy", retry_after=float("inf")),
    "an extension": HEAD + b"\x82\xa4type\xa6answer\xa4text\xd4\x01\x00",
    "an empty answer": answer(text=" "),
}


async def hostile(
    cluster: Cluster, name: str, reply: bytes, card: Card | None = None
) -> MemoryNetwork:
    """A peer that greets well and answers every task with `reply`."""

    async def serve(_: str, payload: bytes, send: Send) -> None:
        if isinstance(decode_request(payload), Infer):
            send(reply)
        else:
            send(encode(Welcome(card or Card(name, name, "evil", 4096))))

    network = cluster.hub.network()
    await network.open(name, serve, lambda: None)
    await cluster.settle()
    return network


@pytest.mark.parametrize("what", REPLIES)
def test_a_bad_reply_costs_no_more_than_that_proposer(what: str) -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            network = await hostile(cluster, "mallory", REPLIES[what])
            assert "mallory" in cluster.devices[0].peers()
            finished = await cluster.ask(0, 2, 2)
            for layer in finished.record.layers:
                outcome = {p.device: p.outcome for p in layer.proposers}
                assert outcome.pop("mallory") in ("refused", "failed", "gone")
                assert outcome == {"d0": "answered", "d1": "answered"}
            assert finished.text.startswith("answer of d0")
            # As aggregator it is passed over as well.
            cluster.llms[0].fails_before_token = cluster.llms[1].fails_before_token = 0
            events = cluster.events(0, 1, 2)
            with pytest.raises(Exception, match="no device could answer|tasks of|window|try again"):
                _ = [event async for event in events]
            await network.close()

    run_virtual(work())


def test_an_absurd_card_makes_no_peer_and_a_name_makes_no_mess() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            huge = Card("mallory", "N" * 10_000, "evil", 4096)
            first = await hostile(cluster, "mallory", b"", huge)
            second = await hostile(cluster, "trudy", b"", Card("trudy", ESCAPE + "t", ESCAPE, 1))
            assert cluster.devices[0].peers() == ["trudy"]
            assert cluster.devices[0].describe("trudy") == ("]0;PWNED[2Jt", "]0;PWNED[2J")
            for network in (first, second):
                await network.close()

    run_virtual(work())


def test_strangers_are_served_nothing_and_nobody_takes_the_whole_queue() -> None:
    async def asked(network: MemoryNetwork, i: int) -> Any:
        task = Task(f"task{i}", "p", 1, [USER])
        first: asyncio.Queue[bytes] = asyncio.Queue()
        asking = asyncio.create_task(network.ask("d0", encode(Infer(task)), first.put_nowait, 1e6))
        return decode_reply(await first.get()), asking

    async def work() -> None:
        async with Cluster(1, seconds=1000.0) as cluster:
            network = await hostile(cluster, "mallory", b"")
            unseen = cluster.hub.network()
            unseen.device = "nobody"
            unseen._open = True
            refused, asking = await asked(unseen, 0)
            await asking
            assert isinstance(refused, Refused)
            assert refused.reason == "stranger"
            all_asking = []
            for i in range(1, 66):
                reply, asking = await asked(network, i)
                all_asking.append(asking)
            assert isinstance(reply, Refused)
            assert reply.reason == "busy"
            assert cluster.devices[0].queue.waiting == 63
            # Whoever leaves takes its tasks along.
            await network.close()
            await cluster.settle()
            await asyncio.gather(*all_asking)
            cluster.assert_idle()

    run_virtual(work())


def test_ids_are_short_and_sizes_count_everything() -> None:
    assert isinstance(decode_request(packed(type="cancel", task="x" * 1000)), Refused)
    plain = Task("t", "p", 1, [USER])
    heavy = Task("t", "p", 2, [USER], drafts=["d" * 100], instruction="i" * 1000)
    assert heavy.size() - plain.size() == 1100


def test_a_draft_writes_no_control_tokens() -> None:
    for token in (
        "<|im_end|>",
        "<|eot_id|>",
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "<s>",
        "</s>",
        "<start_of_turn>",
        "<end_of_turn>",
        "</draft 1>",
        "< / draft 1>",
    ):
        assert token not in pack([USER], [f"a {token} b"], "Do.")[0].content.removesuffix(
            "</draft 1>"
        )
    for harmless in ("a < b > c", "x[0]", "<b>bold</b>", "1 <2", "|x| > 1", "<string>"):
        assert quoted(harmless) == harmless


def test_drafts_of_a_layer_fit_a_message() -> None:
    async def work() -> None:
        async with Cluster(4) as cluster:
            for llm in cluster.llms:
                llm._respond = lambda _: "w " * 500_000
            cluster.devices[0].llm = cluster.llms[0]
            record = (await cluster.ask(0, 2, 3)).record
            assert all(p.outcome == "answered" for p in record.layers[1].proposers)
            asked = cluster.llms[1].asked[-1]
            assert estimate_tokens(asked) * 3 <= LIMITS.drafts_characters * 1.1

    run_virtual(work())


def test_control_characters_never_reach_a_terminal() -> None:
    assert printable(f"a{ESCAPE}b\n\tc\x9b2J\u202ed") == "a]0;PWNED[2Jb\n\tc2Jd"
    assert printable("abcdef", 4) == "abc…"


def test_addresses_of_strangers_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    known = KnownPeers(path, leaves_machine=False)
    bad = [
        "tcp/192.0.2.2:80",
        "tcp/127.0.0.1:²",
        "garbage",
        "tcp/127.0.0.1:7447#bind=eth0",
        "tcp/example.org:80",
    ]
    for i, address in enumerate([*bad, "tcp/127.0.0.1:7447"]):
        known.meet(Card(f"d{i}", "n", "m", 1, [address]))
    assert known.addresses() == {f"d{len(bad)}": ["tcp/127.0.0.1:7447"]}
    path.write_text(json.dumps({"a": bad}))
    assert KnownPeers(path, leaves_machine=False).addresses() == {}
    for content in ("[" * 100_000, "null", "[1]", '{"a": 3}', "\x00"):
        path.write_text(content)
        assert KnownPeers(path, leaves_machine=True).addresses() == {}
    assert is_plain("tcp/[::1]:7447")
    assert is_loopback(parse("tcp/[::1]:7447").host)


@pytest.mark.parametrize(
    "url", ["localhost", "http://[::1", "http://h:99999", "ftp://h", "http://"]
)
def test_what_is_no_url_is_said_so(url: str) -> None:
    with pytest.raises(Exception, match="is no URL of a server"):
        check_url(url)


def test_a_member_ends_only_its_own_tasks_and_says_hello_only_as_itself() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=1000.0) as cluster:
            bob = await hostile(cluster, "bob", b"")
            mallory = await hostile(cluster, "mallory", b"")
            asking = asyncio.create_task(
                bob.ask("d0", encode(Infer(Task("t", "p", 1, [USER]))), lambda _: None, 1e6)
            )
            await cluster.settle()
            heard: list[Any] = []

            def hear(payload: bytes) -> None:
                heard.append(decode_reply(payload))

            await mallory.ask("d0", encode(Cancel("t")), hear, 10.0)
            await cluster.settle()
            assert cluster.devices[0].queue.serving == 1, "bob's task goes on"
            # Nor is a task kept out by another's cancel that came first.
            await mallory.ask("d0", encode(Cancel("later")), hear, 10.0)
            later = asyncio.create_task(
                bob.ask("d0", encode(Infer(Task("later", "p", 1, [USER]))), lambda _: None, 1e6)
            )
            await cluster.settle()
            assert cluster.devices[0].queue.waiting == 1
            before = cluster.devices[0].describe("bob")
            claims = Hello(Card("bob", "not bob", "evil", 1))
            await mallory.ask("d0", encode(claims), hear, 10.0)
            assert isinstance(heard[-1], Refused)
            assert heard[-1].detail == "you are mallory, and not bob"
            assert cluster.devices[0].describe("bob") == before
            for task in ("t", "later"):
                await bob.ask("d0", encode(Cancel(task)), hear, 10.0)
            await asyncio.gather(asking, later)
            cluster.assert_idle()
            for network in (bob, mallory):
                await network.close()

    run_virtual(work())
