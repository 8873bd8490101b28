"""Which M and k a prompt gets, and the reason that is given."""

import asyncio

import pytest

from dmoa.api import models
from dmoa.device import survey
from dmoa.device.committee import CommitteePlan, Committees, Wish, affordable
from dmoa.protocol.aggregation import Aggregation
from tests.cluster import Cluster
from tests.virtual import run_virtual


def loaded(cluster: Cluster, alpha: float, rate: float) -> None:
    """As measured by every device: seconds an inference, prompts a second."""
    for device in cluster.devices:
        device.meter.service_seconds.add(alpha)
        now = device.meter.clock()
        device.meter.prompts._times.extend(now - i / rate for i in range(100, -1, -1))


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("dmoa", (1, 3), "different models are there, which gain by one layer of k = 3"),
        ("dmoa-select", (1, 3), "different models are there, which gain by one layer of k = 3"),
        ("dmoa-auto", (0, 0), "the load of the network leaves room for M = 0, k = 0 now"),
        ("dmoa-m2-k1", (2, 1), "the prompt asks for M = 2, k = 1"),
        ("model-d0", (0, 0), "the prompt asks for the own LLM alone"),
    ],
)
def test_every_plan_says_why(name: str, size: tuple[int, int], reason: str) -> None:
    async def work() -> CommitteePlan:
        async with Cluster(3) as cluster:
            loaded(cluster, alpha=1.0, rate=2.0)
            committees = Committees(cluster.devices[0], layers=None, proposers=3)
            return await committees.plan(models.parse(name, "model-d0"))

    plan = run_virtual(work())
    assert (plan.layers, plan.proposers) == size
    assert plan.reason == reason
    assert plan.notes == ([reason] if name == "dmoa-auto" else [])


def test_without_a_wish_of_the_owner_the_models_decide() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            committees = Committees(cluster.devices[0], layers=None, proposers=2)
            alone = committees.default()
            assert (alone.layers, alone.reason, alone.notes) == (0, "no other device is there", [])
            await cluster.add(1)
            await cluster.settle()
            assert committees.default().layers == 1
            # Whoever runs the same model adds nothing.
            cards = cluster.devices[0].peer_links.cards()
            cluster.llms[0]._info = type(cluster.llms[0].info)(cards["d1"].model, 8192)
            same = committees.default()
            assert same.layers == 0
            assert "every device runs the same model" in same.notes[0]
            set_by_owner = Committees(cluster.devices[0], layers=2, proposers=2).default()
            assert (set_by_owner.layers, set_by_owner.notes) == (2, [])
            assert set_by_owner.reason == "this device is set to M = 2, k = 2"

    run_virtual(work())


def test_the_owners_way_with_drafts_holds_unless_a_prompt_has_another() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            committees = Committees(
                cluster.devices[0], layers=1, proposers=1, aggregation=Aggregation("vote")
            )
            for name, how in (
                ("dmoa", Aggregation("vote")),
                ("dmoa-auto", Aggregation("vote")),
                ("dmoa-stop", Aggregation(early_stop=True)),
                ("dmoa-m1-k1", Aggregation()),
                ("model-d0", Aggregation()),
            ):
                plan = await committees.plan(models.parse(name, "model-d0"))
                assert plan.aggregation == how, name

    run_virtual(work())


def test_prompts_that_come_together_wait_for_one_measurement() -> None:
    async def work() -> None:
        async with Cluster(4) as cluster:
            loaded(cluster, alpha=1.0, rate=2.0)
            asked = 0
            report = cluster.devices[1].report

            def counting() -> object:
                nonlocal asked
                asked += 1
                return report()

            cluster.devices[1].service._report = counting  # type: ignore[assignment]
            cluster.networks[0].mean_delay = 0.1
            committees = Committees(cluster.devices[0], layers=1, proposers=3)
            wish = Wish(affordable=True)
            plans = await asyncio.gather(*(committees.plan(wish) for _ in range(3)))
            assert [(plan.layers, plan.proposers) for plan in plans] == [(0, 0)] * 3
            assert asked == 1
            await asyncio.sleep(survey.FRESH_SECONDS)
            await committees.plan(wish)
            assert asked == 2, "old reports are renewed"

    run_virtual(work())


def test_a_measurement_that_takes_too_long_keeps_no_prompt_waiting() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            loaded(cluster, alpha=1.0, rate=2.0)
            committees = Committees(cluster.devices[0], layers=1, proposers=2)
            cluster.networks[0].mean_delay = 1e6
            now = asyncio.get_running_loop().time
            started = now()
            wish = Wish(affordable=True)
            plans = await asyncio.gather(*(committees.plan(wish) for _ in range(3)))
            assert now() - started == pytest.approx(survey.SURVEY_SECONDS)
            assert [plan.layers for plan in plans] == [1, 1, 1], "nothing is known yet"

    run_virtual(work())


def test_what_is_affordable_follows_theorem_one() -> None:
    # alpha ((k+1)M + 1) lambda at most 0.8, on four equal devices with alpha = 1.
    for rate, expected in ((0.08, (2, 3)), (0.15, (1, 3)), (0.19, (1, 2)), (0.25, (1, 1))):
        assert affordable(2, 3, [1.0] * 4, [rate] * 4) == expected
    assert affordable(2, 3, [1.0] * 4, [0.5] * 4) == (0, 0)
    assert affordable(2, 3, [1.0], [0.5]) == (0, 0)
