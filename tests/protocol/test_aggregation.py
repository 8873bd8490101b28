"""What becomes of drafts: select, vote, early stop, and leaving the committee out."""

from typing import Any

import openai
import pytest

from dmoa.client import ask_async
from dmoa.device.committee import Committees, Size, Wish
from dmoa.policies.limits import LIMITS
from dmoa.protocol.aggregation import METHODS, Aggregation
from dmoa.protocol.conversation import Constraints
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.experience import Experience
from dmoa.protocol.records import PromptRecord
from dmoa.selection import ranker
from tests.cluster import Cluster
from tests.served import served
from tests.virtual import run_virtual

GOOD = "Water boils at 100 degrees Celsius at sea level, because there its vapour pressure is one."
SAME = "At sea level water boils at 100 degrees Celsius, where its vapour pressure is one."
BAD = "Bananas."


def answers(cluster: Cluster, *texts: str) -> None:
    for llm, text in zip(cluster.llms, texts, strict=True):
        llm._respond = lambda _, text=text: text  # type: ignore[misc]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("early_stop", [False, True])
@pytest.mark.parametrize("fallback", [False, True])
def test_every_way_has_a_suffix_that_means_it(
    method: Any, early_stop: bool, fallback: bool
) -> None:
    how = Aggregation(method, early_stop, fallback)
    assert Aggregation.from_suffix(how.suffix) == how


@pytest.mark.parametrize("suffix", ["-dance", "-select-vote", "-stop-stop", "select", "-select-"])
def test_other_suffixes_mean_nothing(suffix: str) -> None:
    assert Aggregation.from_suffix(suffix) is None


@pytest.mark.parametrize("method", ["select", "vote"])
def test_a_chosen_draft_is_the_answer_without_a_last_inference(method: Any) -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            answers(cluster, BAD, SAME, SAME)
            how = Aggregation(method)
            events = [e async for e in cluster.events(0, 2, 2, aggregation=how)]
            finished = events[-1]
            assert isinstance(finished, Finished)
            assert finished.text == SAME
            assert [e.text for e in events if isinstance(e, Text)] == [SAME]
            record = finished.record
            assert record.tasks == 2 * 3
            assert record.aggregator == []
            assert record.seconds == pytest.approx(2)
            cluster.assert_idle()

    run_virtual(work())


def test_short_answers_are_voted_on_by_select_too() -> None:
    async def work() -> None:
        async with Cluster(4) as cluster:
            doubts = "Lyon, but I am not sure."
            answers(cluster, doubts, "Paris.", "paris", doubts.replace("Lyon", "Nice"))
            finished = await cluster.ask(0, 1, 3, aggregation=Aggregation("select"))
            assert finished.text.strip(".").lower() == "paris"

    run_virtual(work())


def test_layers_stop_when_drafts_agree_and_go_on_when_they_do_not() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            stop = Aggregation(early_stop=True)
            answers(cluster, "Paris.", "The answer is Paris.", "paris")
            record = (await cluster.ask(0, 3, 2, aggregation=stop)).record
            assert (len(record.layers), record.tasks) == (1, 3)
            assert "layer 1 agree" in record.notes[0]
            answers(cluster, "Paris", "Rome", "Oslo")
            record = (await cluster.ask(0, 3, 2, aggregation=stop)).record
            assert (len(record.layers), record.tasks) == (3, 10)

    run_virtual(work())


def test_tools_need_an_aggregator() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            tools = Constraints(tools=[{"type": "function"}])
            answers(cluster, "Paris", "Paris")
            how = Aggregation("select", early_stop=True)
            record = (await cluster.ask(0, 1, 1, aggregation=how, constraints=tools)).record
            assert record.tasks == 3
            assert any("need an aggregator" in note for note in record.notes)

    run_virtual(work())


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_that_never_helps_is_left_out_but_tried_again_now_and_then(method: Any) -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            committees = Committees(cluster.devices[0], layers=1, proposers=2)
            wish = Wish(Size(1, 2), Aggregation(method, fallback=True))

            async def asked(times: int) -> list[PromptRecord]:
                records = []
                for _ in range(times):
                    plan = await committees.plan(wish)
                    finished = await cluster.ask(
                        0,
                        plan.layers,
                        plan.proposers,
                        aggregation=plan.aggregation,
                        why=plan.reason,
                        notes=plan.notes,
                    )
                    records.append(finished.record)
                return records

            answers(cluster, GOOD, BAD, BAD[:4])
            records = await asked(60)
            alone = [record.M == 0 for record in records]
            assert not any(alone[: Experience.OBSERVED]), "not before there is experience"
            later = alone[Experience.OBSERVED :]
            assert 0.8 <= sum(later) / len(later) < 1
            record = records[Experience.OBSERVED]
            assert record.notes[0].startswith("the committee was left out")
            assert record.why == record.notes[0]
            trial = records[Experience.OBSERVED + later.index(False)]
            assert "a new trial" in trial.why
            # A pool that helps is asked.
            answers(cluster, BAD, GOOD, SAME)
            records = await asked(150)
            assert all(record.M == 1 for record in records[-30:])

    run_virtual(work())


def test_asking_whether_the_committee_is_hopeless_changes_nothing() -> None:
    experience = Experience()
    for _ in range(Experience.OBSERVED):
        assert not experience.hopeless
        experience.learn([GOOD, BAD], ["d0", "d1"])
    for _ in range(2 * Experience.EXPLORE):
        assert experience.hopeless
        assert not experience.explores
    for _ in range(Experience.EXPLORE - 1):
        experience.count_hopeless_prompt()
    assert experience.explores


def test_judging_drafts_takes_bounded_work_however_long_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[int] = []
    select = ranker.select

    def watched(drafts: Any, devices: Any, known: Any) -> int:
        judged.extend(len(draft) for draft in drafts)
        return select(drafts, devices, known)

    monkeypatch.setattr(ranker, "select", watched)
    Experience().learn(["word " * 200_000, "x"], ["d0", "d1"])
    assert judged == [LIMITS.judged_characters // 2, 1]


def test_every_layer_teaches_whatever_is_done_with_its_drafts() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            answers(cluster, GOOD, SAME, BAD)
            for i, method in enumerate(METHODS):
                await cluster.ask(i, 3, 2, aggregation=Aggregation(method))
                standings = cluster.devices[i].experience.quality.standings
                assert {device: s.weight for device, s in standings.items()} == {
                    "d0": 3,
                    "d1": 3,
                    "d2": 3,
                }

    run_virtual(work())


def test_quality_is_learnt_from_drafts_and_never_told_by_peers() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            answers(cluster, GOOD, SAME, BAD)
            for _ in range(30):
                await cluster.ask(0, 1, 2, aggregation=Aggregation("select"))
            quality = cluster.devices[0].experience.quality
            assert quality.of("d2") < 0 < quality.of("d1")
            assert quality.of("unheard-of") == 0
            assert not cluster.devices[1].experience.quality.standings, "each learns for itself"

    run_virtual(work())


async def test_suffixes_flags_and_arguments_all_reach_the_protocol() -> None:
    async with served(3) as s:
        url = f"http://127.0.0.1:{s.port}"
        ask: list[Any] = [{"role": "user", "content": "?"}]
        for model in ("dmoa-m1-k2-select", "dmoa-select", "dmoa-m1-k2-vote-stop"):
            answer = await s.client.chat.completions.create(model=model, messages=ask)
            assert (answer.model_extra or {})["dmoa"]["aggregator"] == []
            streamed = await s.client.chat.completions.create(
                model=model, messages=ask, stream=True
            )
            texts = [c.choices[0].delta.content async for c in streamed if c.choices]
            assert "answer of d" in (texts[0] or "")
        with pytest.raises(openai.NotFoundError):
            await s.client.chat.completions.create(model="model-d0-select", messages=ask)
        reply = await ask_async("?", node=url, model="dmoa-m1-k2", method="select")
        assert reply.dmoa["tasks"] == 3
        reply = await ask_async("?", node=url, model="dmoa-m1-k2", early_stop=True)
        assert reply.dmoa["tasks"] == 4
