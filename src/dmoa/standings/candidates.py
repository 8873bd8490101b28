"""Which plans of several devices are worth examining: few, of those near the best.

Devices far behind the best only cost inferences and mislead who aggregates (docs/quality.md), so
they are in no plan. Two layers are examined only where one layer of the same devices is better
than the best LLM alone.
"""

from collections.abc import Mapping

from dmoa.policies.plans import LEVEL, Plan, choosing, committee
from dmoa.standings.decision import LEAST_ASKED, Card, plan_subject
from dmoa.standings.outcomes import Record, Standings, paired

NEAR = 0.25
"""How far behind the best LLM's skill one may be."""
MEMBERS = 4
"""Devices of a plan, at most: the own one and k = 3."""
VOTERS = 3


def worth_examining(
    standings: Standings, own: str, cards: Mapping[str, Card], now: float
) -> list[Plan]:
    """Plans of several devices, at most nine; none until two devices near the best are known.

    Args:
        standings: what is known.
        own: key id of the own device.
        cards: of all devices that are there.
        now: Unix time, seconds.
    """
    records = {device: standings.record(card.subject) for device, card in cards.items()}
    skills = {d: r.skill(now).mean for d, r in records.items() if r.asked() >= LEAST_ASKED}
    if own not in skills:
        return []
    best = max(skills, key=skills.__getitem__)
    near = [d for d in skills if skills[d] >= skills[best] - NEAR]
    near.sort(key=lambda device: (-skills[device], device != own))
    near = near[:MEMBERS]
    if len(near) < 2:
        return []
    plans = []
    for size in range(2, len(near) + 1):
        devices = near[:size]
        for aggregator in dict.fromkeys((own if own in devices else best, best)):
            plan = committee(1, _first(aggregator, devices), aggregator)
            plans.append(plan)
            if size == len(near) and _is_better(plan, standings, cards, records[best], now):
                plans.append(committee(2, plan.devices, aggregator))
    if len(near) >= VOTERS:
        voters = _first(near[0], near[:VOTERS])
        plans += [choosing(voters, "vote"), choosing(voters, "select")]
    return plans


def _first(device: str, devices: list[str]) -> list[str]:
    """One device, and the others in an order that does not follow their standings.

    The same devices in another order would be another plan, of which nothing is known.
    """
    return [device, *sorted(other for other in devices if other != device)]


def _is_better(
    plan: Plan, standings: Standings, cards: Mapping[str, Card], best: Record, now: float
) -> bool:
    pair = paired(standings.record(plan_subject(plan, cards)), best, now)
    return pair.shared >= LEAST_ASKED and pair.chance >= LEVEL
