"""Which M and k a prompt gets, and the reason that is given."""

import pytest

from dmoa.api import models
from dmoa.device.committee import CommitteePlan, Committees
from dmoa.protocol.aggregation import Aggregation
from tests.cluster import Cluster
from tests.virtual import run_virtual


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("dmoa", (1, 3), "different models are there, which gain by one layer of k = 3"),
        ("dmoa-select", (1, 3), "different models are there, which gain by one layer of k = 3"),
        ("dmoa-auto", (1, 3), "different models are there, which gain by one layer of k = 3"),
        ("dmoa-m2-k1", (2, 1), "the prompt asks for M = 2, k = 1"),
        ("model-d0", (0, 0), "the prompt asks for the own LLM alone"),
    ],
)
def test_every_plan_says_why(name: str, size: tuple[int, int], reason: str) -> None:
    async def work() -> CommitteePlan:
        async with Cluster(3) as cluster:
            committees = Committees(cluster.devices[0], layers=None, proposers=3)
            return await committees.plan(models.parse(name, "model-d0"))

    plan = run_virtual(work())
    assert (plan.layers, plan.proposers) == size
    assert plan.reason == reason
    assert plan.notes == []


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
