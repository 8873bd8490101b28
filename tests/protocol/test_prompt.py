"""Algorithm 1 on devices in one process, on virtual time."""

import asyncio
from collections import Counter
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.device.queue import DeviceQueue
from dmoa.errors import ContextExceeded, DeadlinePassed, NobodyAnswered, QueueFull
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.events import Finished, LayerFinished, Restarted, Text
from dmoa.protocol.layer import LayerPolicy
from tests.cluster import Cluster
from tests.virtual import run_virtual


@given(
    st.integers(1, 7),
    st.integers(0, 4),
    st.integers(0, 8),
    st.integers(0, 1000),
)
def test_without_faults_a_prompt_costs_exactly_its_inferences(
    devices: int, layers: int, proposers: int, seed: int
) -> None:
    async def work() -> None:
        async with Cluster(devices, seed=seed) as cluster:
            finished = await cluster.ask(0, layers, proposers)
            record = finished.record
            k = min(proposers, devices - 1) if layers else 0
            assert record.k == k
            assert record.tasks == (k + 1) * layers + 1
            assert sum(len(llm.asked) for llm in cluster.llms) == record.tasks
            assert record.replacements == 0
            assert len(record.layers) == layers
            for layer in record.layers:
                asked = [p.device for p in layer.proposers]
                assert len(set(asked)) == len(asked), "a proposer twice in a layer"
                assert asked[0] == "d0", "the own LLM proposes in every layer"
                assert all(p.outcome == "answered" for p in layer.proposers)
            assert [a.device for a in record.aggregator] == ["d0"]
            if layers and k < proposers:
                assert any(f"{k} of {proposers} other devices" in note for note in record.notes)
            # Each layer takes one service time on an idle network, and so does the answer.
            assert record.seconds == pytest.approx(layers + 1)
            cluster.assert_idle()

    run_virtual(work())


@pytest.mark.slow
def test_proposers_are_drawn_uniformly_and_anew_in_each_layer() -> None:
    async def work() -> Counter[tuple[str, ...]]:
        pairs: Counter[tuple[str, ...]] = Counter()
        async with Cluster(5, seed=3) as cluster:
            for _ in range(300):
                finished = await cluster.ask(0, 2, 2)
                for layer in finished.record.layers:
                    pairs[tuple(sorted(p.device for p in layer.proposers[1:]))] += 1
        return pairs

    pairs = run_virtual(work())
    assert len(pairs) == 6  # all pairs of the four others
    expected = 600 / 6
    chi_squared = sum((n - expected) ** 2 / expected for n in pairs.values())
    assert chi_squared < 20.5  # the 0.1 % point with five degrees of freedom; seeded


def test_layer_one_gets_the_prompt_and_later_layers_all_drafts() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            messages = [
                Message(role="system", content="Be brief."),
                Message(role="user", content="One?"),
                Message(role="assistant", content="Two."),
                Message(role="user", content="Three?"),
            ]
            await cluster.ask(1, 1, 2, messages=messages, instruction="Merge well.")
            for llm in (cluster.llms[0], cluster.llms[2]):
                assert llm.asked == [messages]
            first, last = cluster.llms[1].asked
            assert first == messages
            assert last[0].content.startswith("Be brief.\n\nMerge well.")
            for i in range(3):
                assert f"answer of d{i} with" in last[0].content
            assert last[1:] == messages[1:]

    run_virtual(work())


def test_sampling_is_carried_and_seeds_differ_but_repeat() -> None:
    async def seeds() -> list[int | None]:
        async with Cluster(3) as cluster:
            sampling = Sampling(temperature=0.3, top_p=0.9, max_tokens=3, stop=["x"], seed=5)
            finished = await cluster.ask(0, 1, 2, sampling=sampling)
            assert finished.text == "answer of d0"
            assert finished.finish_reason == "length"
            sampled = [s for llm in cluster.llms for s in llm.sampled]
            assert {(s.temperature, s.top_p, s.max_tokens, tuple(s.stop)) for s in sampled} == {
                (0.3, 0.9, 3, ("x",))
            }
            return [s.seed for s in sampled]

    first = run_virtual(seeds())
    assert len(set(first)) == 4
    assert run_virtual(seeds()) == first


def test_only_the_aggregator_gets_tools_and_formats() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            constraints = Constraints(tools=[{"type": "function"}], tool_choice="auto")
            await cluster.ask(0, 1, 2, constraints=constraints)
            assert cluster.llms[0].constrained == [None, constraints]
            assert cluster.llms[1].constrained == [None]

    run_virtual(work())


def test_a_killed_proposer_is_replaced_at_once() -> None:
    async def work() -> None:
        async with Cluster(5, seed=1) as cluster:
            asking = asyncio.create_task(cluster.ask(0, 1, 2))
            await asyncio.sleep(0.5)
            busy = [i for i in range(1, 5) if cluster.llms[i].running]
            await cluster.kill(busy[0])
            finished = await asking
            record = finished.record
            assert record.replacements == 1
            outcomes = Counter(p.outcome for p in record.layers[0].proposers)
            assert outcomes == {"answered": 3, "gone": 1}
            replaced = record.layers[0].proposers[-1]
            assert replaced.replaces == f"d{busy[0]}"
            # One service time more from the moment of the kill, and the answer.
            assert record.seconds == pytest.approx(0.5 + 1 + 1)

    run_virtual(work())


def test_a_hung_proposer_is_replaced_after_the_silence_deadline() -> None:
    async def work() -> None:
        options = {"silence_seconds": 2.0}
        async with Cluster(4, seed=1, device_options=options) as cluster:
            cluster.networks[1].hung = True
            finished = await cluster.ask(0, 1, 2)
            record = finished.record
            if any(p.device == "d1" for p in record.layers[0].proposers):
                outcome = {p.device: p.outcome for p in record.layers[0].proposers}
                assert outcome["d1"] == "silent"
                assert record.seconds == pytest.approx(2 + 1 + 1)
            assert sum(p.outcome == "answered" for p in record.layers[0].proposers) == 3

    run_virtual(work())


def test_another_is_asked_beside_a_proposer_that_has_said_nothing_for_long() -> None:
    async def work() -> None:
        async with Cluster(4, seed=1) as cluster:
            for hung in (1, 2, 3):
                cluster.networks[hung].hung = True
                record = (await cluster.ask(0, 1, 2)).record
                cluster.networks[hung].hung = False
                proposers = {p.device: p for p in record.layers[0].proposers}
                if f"d{hung}" in proposers:
                    # Two heartbeats of doubt, the other's service, the answer's.
                    assert record.seconds == pytest.approx(2 + 1 + 1)
                    assert proposers[f"d{hung}"].outcome == "late"
                    beside = record.layers[0].proposers[-1]
                    assert beside.replaces == f"d{hung}"
                assert sum(p.outcome == "answered" for p in proposers.values()) == 3
                await asyncio.sleep(10)
                cluster.assert_idle()

    run_virtual(work())


def test_whoever_answers_first_of_two_counts_and_the_other_is_cancelled() -> None:
    async def work() -> None:
        async with Cluster(3, seed=1) as cluster:
            for llm in cluster.llms[1:]:
                llm._service_seconds = lambda: 4.0
            asking = asyncio.create_task(cluster.ask(0, 1, 1))
            await asyncio.sleep(0.5)
            (asked,) = [i for i in (1, 2) if cluster.llms[i].running]
            cluster.networks[asked].hung = True
            await asyncio.sleep(2.5)
            assert cluster.llms[3 - asked].running == 1, "it is asked beside"
            cluster.networks[asked].hung = False
            record = (await asking).record
            assert record.seconds == pytest.approx(4 + 1, abs=0.2)
            outcomes = {p.device: p.outcome for p in record.layers[0].proposers}
            assert outcomes == {"d0": "answered", f"d{asked}": "answered", f"d{3 - asked}": "late"}
            await cluster.settle()
            cluster.assert_idle()

    run_virtual(work())


def test_a_busy_proposer_is_replaced() -> None:
    async def work() -> None:
        async with Cluster(4, seed=2, queue=lambda: DeviceQueue(max_tasks=1)) as cluster:
            queue = cluster.devices[1].queue
            tickets = [queue.enter(1, "stranger") for _ in range(2)]
            for _ in range(5):
                record = (await cluster.ask(0, 1, 2)).record
                outcome = {p.device: p.outcome for p in record.layers[0].proposers}
                assert outcome.pop("d1", "refused") == "refused"
                assert list(outcome.values()) == ["answered"] * 3
                assert record.tasks == 4, "a refusal costs no inference"
            for ticket in tickets:
                queue.leave(ticket)

    run_virtual(work())


def test_a_slow_proposer_is_late_after_quorum_and_grace_and_its_work_is_cancelled() -> None:
    async def work() -> None:
        async with Cluster(4) as cluster:
            cluster.llms[2]._service_seconds = lambda: 1000.0
            policy = LayerPolicy(deadline=100, quorum=0.75, grace=5)
            record = (await cluster.ask(0, 1, 3, policy=policy)).record
            outcome = {p.device: p.outcome for p in record.layers[0].proposers}
            assert outcome == {"d0": "answered", "d1": "answered", "d2": "late", "d3": "answered"}
            assert record.seconds == pytest.approx(1 + 5 + 1)
            await cluster.settle()
            cluster.assert_idle()

    run_virtual(work())


def test_a_layer_without_quorum_ends_at_its_deadline() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            for i in (1, 2):
                cluster.llms[i]._service_seconds = lambda: 1000.0
            policy = LayerPolicy(deadline=20, quorum=1.0, grace=5)
            record = (await cluster.ask(0, 1, 2, policy=policy)).record
            assert record.layers[0].seconds == pytest.approx(20)
            await cluster.settle()
            cluster.assert_idle()

    run_virtual(work())


def test_obsolete_work_is_cancelled_while_it_queues() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            # The peer is busy with a task that lasts, so ours waits behind it.
            cluster.llms[1]._service_seconds = lambda: 1000.0
            theirs = asyncio.create_task(cluster.ask(1, 0, 0))
            await asyncio.sleep(0.1)
            policy = LayerPolicy(deadline=10)
            await cluster.ask(0, 1, 1, policy=policy)
            await cluster.settle()
            assert cluster.devices[1].queue.waiting == 0
            assert cluster.devices[1].queue.waiting_bytes == 0
            assert len(cluster.llms[1].asked) == 1, "it never came into service"
            assert cluster.devices[1].queue.serving == 1
            theirs.cancel()
            await asyncio.gather(theirs, return_exceptions=True)

    run_virtual(work())


def test_a_user_who_goes_away_leaves_nothing_running() -> None:
    async def work() -> None:
        async with Cluster(4) as cluster:
            for _ in range(3):
                events = cluster.events(0, 2, 3)
                async with aclosing(events):
                    async for event in events:
                        if isinstance(event, LayerFinished):
                            break
                await cluster.settle()
                cluster.assert_idle()

    run_virtual(work())


def test_when_only_the_own_llm_is_left_the_user_still_gets_an_answer() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            for i in (1, 2):
                cluster.llms[i].fails_before_token = 0
            finished = await cluster.ask(0, 2, 2)
            assert finished.text.startswith("answer of d0")
            assert [
                len([p for p in layer.proposers if p.outcome == "answered"])
                for layer in finished.record.layers
            ] == [1, 1]

    run_virtual(work())


def test_when_the_own_llm_fails_another_device_aggregates_and_the_record_says_why() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            cluster.llms[0].fails_before_token = 0
            finished = await cluster.ask(0, 1, 2)
            record = finished.record
            assert finished.text.startswith(("answer of d1", "answer of d2"))
            assert [a.outcome for a in record.aggregator] == ["failed", "answered"]
            assert record.aggregator[1].replaces == "d0"
            assert any("d0: the script says that it fails" in note for note in record.notes)
            assert cluster.devices[0].meter.failure == "the script says that it fails"

    run_virtual(work())


def test_an_answer_that_breaks_off_begins_anew_on_another_device() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            cluster.llms[0].fails_before_token = 3
            events = [event async for event in cluster.events(0, 0, 0)]
            kinds = [type(event) for event in events]
            broke = kinds.index(Restarted)
            before = "".join(e.text for e in events[:broke] if isinstance(e, Text))
            after = "".join(e.text for e in events[broke:] if isinstance(e, Text))
            assert before == "answer of d0"
            finished = events[-1]
            assert isinstance(finished, Finished)
            assert after == finished.text
            assert finished.text.startswith(("answer of d1", "answer of d2"))

    run_virtual(work())


def test_when_every_aggregator_fails_the_user_gets_a_draft() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            asking = asyncio.create_task(cluster.ask(0, 1, 1))
            await asyncio.sleep(1.5)
            for llm in cluster.llms:
                llm.fails_before_token = 0
            finished = await asking
            assert finished.text.startswith("answer of d0")
            assert any("the answer is the first draft" in note for note in finished.record.notes)

    run_virtual(work())


def test_when_nobody_can_answer_the_error_names_all_causes() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            for llm in cluster.llms:
                llm.fails_before_token = 0
            with pytest.raises(NobodyAnswered, match="the script says that it fails"):
                await cluster.ask(0, 1, 1)
            cluster.assert_idle()

    run_virtual(work())


def test_a_stalled_llm_is_a_failed_one() -> None:
    async def work() -> None:
        async with Cluster(2, device_options={"first_token_seconds": 30.0}) as cluster:
            cluster.llms[0].hangs = True
            finished = await cluster.ask(0, 0, 0)
            assert finished.text.startswith("answer of d1")
            assert finished.record.seconds is not None
            assert 30 < finished.record.seconds < 35
            assert any("has not begun to answer" in note for note in finished.record.notes)

    run_virtual(work())


def test_drafts_are_packed_to_fit_the_window_of_each_proposer_and_the_record_tells() -> None:
    async def work() -> None:
        async with Cluster(4, context_lengths={0: 500}) as cluster:
            for i, llm in enumerate(cluster.llms):
                llm._respond = lambda _, i=i: f"d{i} says " + "word " * 400  # type: ignore[misc]
            finished = await cluster.ask(0, 2, 3, sampling=Sampling(max_tokens=400))
            own = [p for layer in finished.record.layers for p in layer.proposers if p.name == "d0"]
            assert [p.characters_cut > 0 for p in own] == [False, True]
            assert finished.record.aggregator[0].characters_cut > 0
            assert all(
                p.characters_cut == 0
                for layer in finished.record.layers
                for p in layer.proposers
                if p.name != "d0"
            )
            assert any("did not fit its context window" in n for n in finished.record.notes)
            packed = cluster.llms[0].asked[-1][0].content
            assert all(f"d{i} says" in packed for i in range(4)), "all drafts are there, shortened"

    run_virtual(work())


def test_a_prompt_longer_than_every_window_is_refused_and_costs_nothing() -> None:
    async def work() -> None:
        async with Cluster(3, context_lengths=dict.fromkeys(range(3), 300)) as cluster:
            long = [Message(role="user", content="word " * 1000)]
            with pytest.raises(ContextExceeded):
                await cluster.ask(0, 1, 2, messages=long)
            assert all(not llm.asked for llm in cluster.llms)
            cluster.assert_idle()

    run_virtual(work())


def test_a_prompt_that_fits_only_a_peer_is_answered_there() -> None:
    async def work() -> None:
        async with Cluster(2, context_lengths={0: 300, 1: 8000}) as cluster:
            long = [Message(role="user", content="word " * 1000)]
            finished = await cluster.ask(0, 1, 1, messages=long)
            assert finished.text.startswith("answer of d1")

    run_virtual(work())


def test_a_prompt_has_a_deadline() -> None:
    async def work() -> None:
        async with Cluster(3, device_options={"prompt_deadline": 1.5}) as cluster:
            with pytest.raises(DeadlinePassed, match="not answered in 2 s"):
                await cluster.ask(0, 3, 2)
            await cluster.settle()
            cluster.assert_idle()

    run_virtual(work())


def test_a_draining_device_finishes_what_it_has_and_takes_nothing_new() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            guest = asyncio.create_task(cluster.ask(0, 1, 2))
            await asyncio.sleep(0.5)
            draining = asyncio.create_task(cluster.devices[1].drain(30))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="shutting down"):
                await cluster.ask(1, 0, 0)
            finished = await guest
            await draining
            assert [p.outcome for p in finished.record.layers[0].proposers] == ["answered"] * 3
            assert cluster.devices[0].peers() == ["d2"]

    run_virtual(work())
