"""What a device knows of each LLM and plan, as plain objects: for tables and for other programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from dmoa.policies.plans import Plan
from dmoa.standings.decision import Card, plan_subject
from dmoa.standings.outcomes import Skill, Standings


def summary(
    standings: Standings, cards: Mapping[str, Card], plans: Sequence[Plan], now: float
) -> dict[str, Any]:
    """Devices and plans with their questions, rights and skills; 95 % intervals.

    Args:
        standings: what is known.
        cards: of all devices that are there.
        plans: of several devices; those that were never asked are left out.
        now: Unix time, seconds.
    """
    return {
        "devices": [_device(standings, card, now) for card in cards.values()],
        "plans": [
            _plan(standings, cards, plan, now)
            for plan in plans
            if standings.record(plan_subject(plan, cards)).asked()
        ],
    }


def _skill(skill: Skill) -> dict[str, float]:
    low, high = skill.interval()
    return {"mean": round(skill.mean, 4), "low": round(low, 4), "high": round(high, 4)}


def _device(standings: Standings, card: Card, now: float) -> dict[str, Any]:
    record = standings.record(card.subject)
    answers = record.answers().values()
    topics = {}
    for topic in record.topics():
        rights = [outcome.right for outcome in answers if outcome.topic == topic]
        topics[topic] = {
            "asked": len(rights),
            "right": sum(rights),
            "skill": _skill(record.topic_skill(topic, now)),
        }
    return {
        "name": card.name,
        "id": card.device,
        "model": card.model,
        "asked": record.asked(),
        "right": record.right(),
        "skill": _skill(record.skill(now)),
        "topics": topics,
    }


def _plan(
    standings: Standings, cards: Mapping[str, Card], plan: Plan, now: float
) -> dict[str, Any]:
    record = standings.record(plan_subject(plan, cards))
    return {
        "layers": plan.layers,
        "proposers": plan.proposers,
        "method": plan.method,
        "aggregator": cards[plan.aggregator].name,
        "devices": [cards[device].name for device in plan.devices],
        "asked": record.asked(),
        "right": record.right(),
        **_skill(record.skill(now)),
    }
