"""Devices examine each other in idle time, and `dmoa` follows what they find."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dmoa.device.device import Device
from dmoa.errors import DmoaError
from dmoa.network.messages import Refused
from dmoa.policies.plans import alone
from dmoa.protocol.tasks import Task
from dmoa.standings.examiner import Kept
from dmoa.store.documents import Documents
from tests.school import School, coins, school
from tests.store.inline import database
from tests.virtual import run_virtual

pytestmark = pytest.mark.slow

WEAK, STRONG = {"d0": 0.3, "d1": 0.9, "d2": 0.4}, {"d0": 0.9, "d1": 0.3, "d2": 0.4}


def test_a_network_of_newcomers_answers_alone_and_at_once() -> None:
    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            now = asyncio.get_running_loop().time
            started = now()
            finished = await s.ask(0)
            assert now() - started == pytest.approx(0.1)
            assert finished.text.startswith("answer of d0")
            record = finished.record
            assert (record.M, record.tasks) == (0, 1)
            assert record.why.startswith("too little is known of the other LLMs yet")
            assert record.plan
            assert (record.plan.method, record.plan.aggregator) == ("alone", "d0")
            assert not s.cluster.llms[1].asked
            assert not s.cluster.llms[2].asked

    run_virtual(work())


def test_a_weak_owner_gets_the_best_peer_in_one_inference_and_a_strong_one_itself() -> None:
    async def work() -> None:
        for skills, best in ((WEAK, "d1"), (STRONG, "d0")):
            async with school(3, coins(skills)) as s:
                await s.learn(0)
                finished = await s.ask(0)
                record = finished.record
                assert finished.text.startswith(f"answer of {best}")
                assert (record.tasks, record.M) == (1, 0)
                assert record.aggregator[-1].name == best
                assert record.plan
                assert record.plan.aggregator == best
                assert "was right in" in record.why
                s.cluster.assert_idle()

    run_virtual(work())


def test_one_llm_alone_is_asked_for_its_likeliest_words_as_it_was_examined() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.2, "d1": 0.9})) as s:
            await s.learn(0)
            assert await s.ask(0)
            assert s.cluster.llms[1].sampled[-1].temperature == 0.0
            await s.ask(0, "model-d0")
            assert s.cluster.llms[0].sampled[-1].temperature is None

    run_virtual(work())


def test_the_own_llm_answers_when_the_best_peer_fails() -> None:
    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            await s.learn(0)
            s.cluster.llms[1].fails_before_token = 0
            finished = await s.ask(0)
            assert finished.text.startswith("answer of d0")
            assert any(note.startswith("the aggregator d1") for note in finished.record.notes)
            await s.cluster.kill(1)
            await s.cluster.settle()
            assert (await s.ask(0)).record.aggregator[0].name != "d1", "it is not there"

    run_virtual(work())


def test_the_best_peer_is_not_asked_while_it_is_busy_or_hangs() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.9})) as s:
            await s.learn(0)
            s.cluster.seconds = 50.0
            asking = [asyncio.create_task(s.ask(1, "model-d1")) for _ in range(60)]
            await asyncio.sleep(3.0)
            s.cluster.seconds = 0.1
            record = (await s.ask(0)).record
            assert record.aggregator[0].name == "d0"
            assert record.why.endswith("but d1 is busier")
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            await asyncio.sleep(10.0)
            assert (await s.ask(0)).record.aggregator[0].name == "d1"
            s.cluster.networks[1].hung = True
            await asyncio.sleep(10.0)
            record = (await s.ask(0)).record
            assert record.aggregator[0].name == "d0"
            assert record.why.endswith("but d1 cannot be asked")

    run_virtual(work(), at_most=1e7)


def test_members_that_know_different_things_become_a_committee() -> None:
    async def work() -> None:
        async with school(4, coins({f"d{i}": 0.45 for i in range(4)})) as s:
            await s.learn(0, 7200.0)
            record = (await s.ask(0)).record
            assert record.plan
            assert (record.plan.method, record.M, record.k) == ("synthesise", 1, 3)
            assert record.plan.aggregator == record.aggregator[-1].name
            assert sorted(record.plan.devices) == ["d0", "d1", "d2", "d3"]
            assert record.tasks == 5

    run_virtual(work())


def test_a_committee_leaves_out_whom_it_is_not_worth_asking() -> None:
    async def work() -> None:
        skills = {"d0": 0.02, "d1": 0.5, "d2": 0.5, "d3": 0.5}
        async with school(4, coins(skills)) as s:
            await s.learn(0, 7200.0)
            record = (await s.ask(0)).record
            assert record.plan
            assert record.plan.method == "synthesise"
            assert sorted(record.plan.devices) == ["d1", "d2", "d3"]
            asked = [proposer.name for proposer in record.layers[0].proposers]
            assert sorted(asked) == ["d1", "d2", "d3"], "the weak owner's draft would mislead"
            assert (record.k, record.tasks) == (2, 4)

    run_virtual(work())


def test_equals_that_know_the_same_stay_alone() -> None:
    async def work() -> None:
        async with school(4, lambda name, q: coins({"all": 0.5})("all", q)) as s:
            await s.learn(0, 7200.0)
            record = (await s.ask(0)).record
            assert (record.M, record.tasks, record.aggregator[0].name) == (0, 1, "d0")

    run_virtual(work())


def test_answers_to_users_never_enter_decisions() -> None:
    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            await s.learn(0)
            before = msgspec.json.encode(s.examiners[0].kept.standings)
            for model in ("dmoa", "dmoa-m1-k2", "dmoa-m1-k2-select", "model-d0"):
                await s.ask(0, model, next(iter(s.questions)))
            assert msgspec.json.encode(s.examiners[0].kept.standings) == before

    run_virtual(work())


def test_nothing_is_examined_while_the_user_has_a_prompt() -> None:
    async def work() -> None:
        async with school(3, coins(WEAK), seconds=1.0) as s:
            s.cluster.llms[1].hangs = True
            asking = asyncio.create_task(s.ask(0, "dmoa-m1-k2"))
            await asyncio.sleep(0.01)
            await s.learn(0, 100.0)
            assert not asking.done()
            assert s.examined == []
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    run_virtual(work())


def test_a_prompt_of_the_user_ends_the_examination_of_a_peer_there_too() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.5}), seconds=50.0) as s:
            s.examinations[0].start()
            while not s.cluster.llms[1].running:  # the own LLM is examined first
                await asyncio.sleep(1.0)
            s.cluster.seconds = 1.0
            now = asyncio.get_running_loop().time
            started = now()
            await s.ask(0)
            assert now() - started == pytest.approx(1.0), "it waits for nothing"
            assert not s.cluster.llms[1].running
            assert not s.cluster.devices[0].idle_work

    run_virtual(work())


def test_a_guests_task_takes_the_place_of_an_examination_of_the_own_llm() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.5}), seconds=50.0) as s:
            s.examinations[0].start()
            while not s.cluster.llms[0].running:
                await asyncio.sleep(0.1)
            s.cluster.seconds = 1.0
            answered = await s.ask(1, "dmoa-m1-k1")
            guest = next(p for p in answered.record.layers[0].proposers if p.name == "d0")
            assert guest.queue_seconds == pytest.approx(0.0, abs=0.1)
            assert not s.examiners[0].standings.records, "what was broken off is no outcome"

    run_virtual(work())


def test_a_guests_task_ends_the_examination_of_a_whole_committee() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.5})) as s:
            examinations, device = s.examinations[0], s.cluster.devices[0]
            examinations.start()
            while s.examiners[0].latest is None or s.examiners[0].latest.ask.plan.layers == 0:
                await asyncio.sleep(0.01)
            s.cluster.seconds = 50.0
            while not (s.cluster.llms[0].running and s.cluster.llms[1].running):
                await asyncio.sleep(0.01)
                assert device.idle_work
            (examination,) = device.idle_work
            s.cluster.seconds = 1.0
            plan = s.examiners[0].latest.ask.subject
            before = s.examiners[0].standings.record(plan).asked()
            asking = asyncio.create_task(s.ask(1, "dmoa-m1-k1"))
            await asyncio.sleep(0.1)
            assert examination.cancelled()
            assert s.examiners[0].standings.record(plan).asked() == before
            assert (await asking).record.tasks == 3

    run_virtual(work())


def test_a_busy_peer_is_not_examined_and_an_idle_one_is() -> None:
    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            s.cluster.llms[1].hangs = True
            asking = asyncio.create_task(s.ask(1, "model-d1"))
            await asyncio.sleep(0.01)
            guests: list[object] = []

            async def count(*task: object) -> None:
                guests.append(task)
                await asyncio.sleep(1e9)

            s.cluster.devices[1].service._infer = count  # type: ignore[assignment]
            await s.learn(0, 200.0)
            assert not guests
            assert set(s.examined) == {"d0", "d2"}
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    run_virtual(work())


def test_examinations_are_no_prompts_of_the_owner() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.5})) as s:
            await s.learn(0, 300.0)
            own = s.cluster.devices[0].report()
            assert len(s.cluster.llms[0].asked) > 10
            assert (own.arrival_rate, own.alpha, own.load) == (None, None, None)

    run_virtual(work())


def test_nothing_tells_an_examination_from_a_prompt() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.2, "d1": 0.9})) as s:
            seen: list[Task] = []
            run = s.cluster.devices[1].inferences.run

            async def watching(task: Task, *args: object) -> object:
                seen.append(task)
                return await run(task, *args)  # type: ignore[arg-type]

            s.cluster.devices[1].service._infer = watching  # type: ignore[assignment]
            await s.learn(0)
            examinations = len(seen)
            await s.ask(0)
            assert examinations > 10
            assert len(seen) == examinations + 1

            def told(task: Task) -> tuple[object, ...]:
                ids = [len(task.id), task.prompt[:7], len(task.prompt)]
                return (*ids, task.layer, task.stream, task.drafts, task.instruction, len(ids))

            assert {str(told(task)) for task in seen} == {str(told(seen[-1]))}
            assert seen[-1].sampling.temperature in {t.sampling.temperature for t in seen[:-1]}

    run_virtual(work())


@pytest.mark.parametrize("reason", ["garbage", "request"])
def test_a_peer_that_refuses_has_no_standing_and_is_left_alone(reason: Any) -> None:
    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            refused = 0

            async def refuse(origin: str, task: Task) -> Refused:
                nonlocal refused
                refused += 1
                return Refused(reason, "no examinations, please", status=403)

            s.cluster.devices[1].service._refusal = refuse  # type: ignore[method-assign]
            await s.learn(0)
            found = {d["name"]: d["asked"] for d in s.examinations[0].summary()["devices"]}
            assert found["d1"] == 0
            assert found["d2"] > 10
            assert refused < 10
            assert (await s.ask(0)).record.aggregator[0].name != "d1"

    run_virtual(work())


def test_an_empty_answer_is_a_wrong_one() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.5})) as s:
            s.cluster.llms[1]._respond = lambda messages: ""
            await s.learn(0)
            peer = s.examinations[0].summary()["devices"][1]
            assert peer["asked"] > 10
            assert peer["right"] == 0

    run_virtual(work())


@pytest.mark.parametrize("endless", [0, 1])
def test_an_answer_without_an_end_is_cut_and_wrong_and_keeps_nobody_waiting(endless: int) -> None:
    async def work() -> None:
        async with school(3, coins({f"d{i}": 1.0 for i in range(3)})) as s:
            respond = s.cluster.llms[endless]._respond
            s.cluster.llms[endless]._respond = lambda messages: (
                f"{respond(messages)} on" + (" and-on-and-on-and-on" * 500)
            )
            s.cluster.seconds = 20.0
            s.examinations[0].start()
            await asyncio.sleep(2_000.0)
            asked = {
                d["name"]: (d["asked"], d["right"]) for d in s.examinations[0].summary()["devices"]
            }
            assert asked[f"d{endless}"][0] > 10
            assert asked[f"d{endless}"][1] == 0
            for other in {0, 1, 2} - {endless}:
                assert asked[f"d{other}"][0] == asked[f"d{other}"][1] > 10
            await s.examinations[0].close()
            s.cluster.assert_idle()
            task = s.cluster.llms[endless].sampled[-1]
            assert task.max_tokens in {None, 512, 1024}, "nothing tells that it is cut"

    run_virtual(work())


def test_a_restart_keeps_what_is_known_and_what_the_user_has_rated(tmp_path: Path) -> None:
    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            async with database(tmp_path / "store") as store:
                documents = Documents(store, pytest.fail)
                s.join(0, save=lambda kept: documents.save("examinations", kept))
                await s.learn(0)
                cards = s.examinations[0].cards()
                s.examinations[0].rate(alone("d2"), cards, good=False)
                before = s.examinations[0].summary()
                await documents.close()
            async with database(tmp_path / "store") as store:
                found = await Documents(store, pytest.fail).load("examinations", Kept)
            assert found
            s.join(0, found)
            assert s.examinations[0].summary() == before
            assert found.standings.ratings == 1
            assert (await s.ask(0)).record.aggregator[0].name == "d1"

    run_virtual(work())


def test_a_draining_device_examines_nobody() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.5}), seconds=50.0) as s:
            device: Device = s.cluster.devices[0]
            s.examinations[0].start()
            while not device.idle_work:
                await asyncio.sleep(0.1)
            await device.drain(5.0)
            await asyncio.sleep(0.01)
            assert not device.idle_work
            asked = len(s.examined)
            await asyncio.sleep(1000.0)
            assert len(s.examined) == asked
            s.cluster.assert_idle()

    run_virtual(work())


def test_what_must_not_leave_the_device_does_not() -> None:
    async def nothing_leaves(s: School) -> None:
        before = [len(llm.asked) for llm in s.cluster.llms[1:]]
        s.cluster.llms[0].fails_before_token = 0
        for name in ("dmoa", "dmoa-m2-k2", "dmoa-m1-k2-best", "model-d0"):
            with pytest.raises(DmoaError, match="the script says that it fails"):
                await s.ask(0, name)
        assert [len(llm.asked) for llm in s.cluster.llms[1:]] == before

    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            await s.learn(0)
            s.committees[0]._local_only = True
            record = (await s.ask(0)).record
            assert record.why.startswith("nothing of this prompt may leave")
            assert record.aggregator[0].name == "d0"
            await nothing_leaves(s)

    run_virtual(work())


def test_the_best_aggregates_where_it_is_asked_for() -> None:
    async def work() -> None:
        async with school(3, coins(WEAK)) as s:
            newcomer = (await s.ask(0, "dmoa-m1-k1-best")).record
            assert newcomer.aggregator[0].name == "d0"
            await s.learn(0)
            record = (await s.ask(0, "dmoa-m1-k2-best")).record
            assert (record.M, record.k, record.aggregator[0].name) == (1, 2, "d1")
            assert record.layers[0].proposers[0].name == "d0"
            alone = (await s.ask(0, "dmoa-m0-k0-best")).record
            assert (alone.tasks, alone.aggregator[0].name) == (1, "d1")
            assert (await s.ask(0, "dmoa-m1-k2")).record.aggregator[0].name == "d0"

    run_virtual(work())
