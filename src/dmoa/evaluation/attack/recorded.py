"""Recorded drafts of real LLMs, and one more member that deceives.

The recorded models are honest devices. A member more joins, or two accomplices; where nobody
attacks, it answers like one of the recorded models, from a sample of its own. What an aggregator
would have written from a deceptive draft nobody recorded, so plans with the new member can only
choose a draft, and the paper's committee under attack is an estimate (`misled`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dmoa.evaluation.attack.kinds import Attack, Item, with_wrong_answers
from dmoa.evaluation.attack.owner import Reply
from dmoa.evaluation.recorded_drafts import Row, recorded
from dmoa.policies.plans import Plan, choosing
from dmoa.standings.decision import Card
from dmoa.standings.grading import is_right

MEMBER = "member"


def put(answer: str) -> str:
    """An answer as a real LLM puts it that was asked to end with it."""
    return f"Let me work this out step by step. Answer: {answer}"


def items_of(rows: Sequence[Row], *, exam: bool, seed: int) -> list[Item]:
    """The questions of one role."""
    chosen = [(r.question, r.answers, r.kind, r.kind) for r in rows if r.exam is exam]
    return with_wrong_answers(chosen, exam, seed)


@dataclass(frozen=True)
class _Asked:
    """A row with the drafts of the members more."""

    row: Row
    drafts: Mapping[str, str]


class RecordedPlace:
    """A network of the recorded models and what joins them; see `owner.Place`.

    Args:
        rows: what was recorded; those of `items`, in their order.
        items: examinations' and users' questions.
        attack: what the new members do; None: one is there and honest.
        like: model whose samples the honest new member answers with.
        joins: whether there are new members at all.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        items: Sequence[Item],
        attack: Attack | None,
        like: str,
        *,
        joins: bool = True,
    ) -> None:
        self.attack = attack
        self.models = list(rows[0].drafts)
        count = attack.members if attack else 1
        self.new = [f"{MEMBER}{i}" for i in range(1, count + 1)] if joins else []
        copied = like if attack is None else _best(rows)
        self._asked: dict[tuple[bool, int], _Asked] = {}
        by_text = {(row.exam, row.question): row for row in rows}
        for item in items:
            row = by_text[item.exam, item.text]
            honest = row.samples.get(copied, row.drafts[copied]) if attack is None else ""
            if attack is not None and attack.copies:
                honest = row.drafts[copied]
            said = honest if attack is None else attack.says(item, False, put, honest)
            drafts = {} if said is None else dict.fromkeys(self.new, said)
            self._asked[item.exam, item.number] = _Asked(row, {**row.drafts, **drafts})
        self.cards = {name: Card(name, name, name) for name in (*self.models, *self.new)}

    @property
    def owners(self) -> list[str]:
        """Whose users ask."""
        return self.models

    def can(self, plan: Plan) -> bool:
        """See `owner.Place.can`: only what was recorded."""
        if plan.method != "synthesise":
            return True
        everybody = sorted(plan.devices) == sorted(self.models)
        return (
            plan.layers == 1
            and everybody
            and all(plan.aggregator in asked.row.committees for asked in self._asked.values())
        )

    async def carry_out(self, own: str, item: Item, plan: Plan) -> Reply | None:
        """See `owner.Place.carry_out`. A draft that never comes is left out, or the own answers."""
        asked = self._asked[item.exam, item.number]
        there = [device for device in plan.devices if device in asked.drafts]
        if plan.method == "alone":
            if plan.aggregator in asked.drafts:
                return Reply(asked.drafts[plan.aggregator])
            return None if item.exam else Reply(asked.drafts[own])
        if plan.method == "synthesise":
            return Reply(recorded(asked.row, plan) or "", asked.row.drafts)
        row = Row(item.exam, "", item.text, item.answers, asked.drafts, {})
        chosen = recorded(row, choosing(there, plan.method)) or ""
        return Reply(chosen, {device: asked.drafts[device] for device in there})

    def right(self, item: Item, text: str) -> bool:
        """See `owner.Place.right`."""
        return is_right(text, item.answers)

    def everybody(self, own: str) -> Plan:
        """See `owner.Place.everybody`: a vote of all drafts, M = 1, k = n - 1, the own first."""
        return choosing([own, *(device for device in self.cards if device != own)], "vote")


def _best(rows: Sequence[Row]) -> str:
    """The model that is right most often where examinations look."""
    exam = [row for row in rows if row.exam]
    return max(exam[0].drafts, key=lambda m: sum(is_right(r.drafts[m], r.answers) for r in exam))


def misled(rows: Sequence[Row], owner: str) -> tuple[list[float], list[float]] | None:
    """The paper's committee with M = 1, k = 2 of three peers, one of which may deceive.

    It was recorded with drafts of all models. A deceptive peer takes the place of another one
    where it is drawn, which is in two of three prompts. What the owner's LLM writes then is
    estimated by what it wrote where the other one was wrong by itself, and the rest of the drafts
    was as right as here: so a wrong draft is taken to mislead as an honest one does, and no more.

    Returns:
        For each user's question, the probability of a right answer without and with the attack;
        None if no committee of the owner and two others was recorded.
    """
    users = [row for row in rows if not row.exam]
    models = list(rows[0].drafts)
    others = [model for model in models if model != owner]
    if len(others) != 2 or any(owner not in row.committees for row in users):
        return None
    right = {m: [is_right(row.drafts[m], row.answers) for row in users] for m in models}
    whole = [float(is_right(row.committees[owner], row.answers)) for row in users]
    attacked = [value / 3 for value in whole]
    for replaced, left in (others, others[::-1]):
        cells: dict[tuple[bool, bool], list[float]] = {}
        for i, value in enumerate(whole):
            if not right[replaced][i]:
                cells.setdefault((right[owner][i], right[left][i]), []).append(value)
        for i in range(len(users)):
            seen = cells.get((right[owner][i], right[left][i]), [])
            attacked[i] += (sum(seen) + whole[i]) / (len(seen) + 1) / 3
    return whole, attacked
