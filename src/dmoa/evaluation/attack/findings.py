"""What attacks cost: accuracies of the honest owners, what they lost, 95 % intervals.

Lost points are paired by question: the same owner's same question where nobody attacks.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dmoa.evaluation.attack.kinds import Item
from dmoa.evaluation.attack.owner import Answered, Owner, Place
from dmoa.evaluation.intervals import Bootstrap, Interval
from dmoa.evaluation.recorded_drafts import plan_name

RULES = ("committee", "standings", "dmoa")
"""Nobody decides; standings alone decide; as `dmoa` does, which also compares answers."""


@dataclass(frozen=True)
class Side:
    """What an owner's user got of a network, by rule; and what was found out.

    Attributes:
        model: of the owner.
        answered: for each rule, the questions in order.
        found_after: users' questions after which a member was distrusted.
        honest_distrusted: how many of them were honest.
    """

    model: str
    answered: dict[str, list[Answered]]
    found_after: dict[str, int]
    honest_distrusted: int = 0


class Rule(msgspec.Struct, frozen=True):
    """A rule in one network.

    Attributes:
        accuracy: percent of the owners' questions.
        late: the same of the second half of each owner's questions.
        lost: points less than where nobody attacks.
        late_lost: the same of the second half.
        plans: share of the questions that each got, the most frequent ones.
    """

    accuracy: Interval
    late: Interval
    lost: Interval
    late_lost: Interval
    plans: dict[str, float]


class Network(msgspec.Struct, frozen=True):
    """One network: who deceives, what it cost.

    Attributes:
        n: users' questions, over which intervals are taken; on recorded drafts every owner is asked
            all of them, on PocketQA each a part.
        rules: by name.
        owners: for each honest owner, accuracy by rule in percent.
        found_after: for each owner, after how many of its questions it distrusted a deceiver;
            None if never.
        honest_distrusted: honest devices that were distrusted, over all owners.
    """

    n: int
    rules: dict[str, Rule]
    owners: dict[str, dict[str, float]]
    found_after: dict[str, int | None]
    honest_distrusted: int


class Findings(msgspec.Struct, frozen=True):
    """All networks of a study; `nobody` attacks in the first, in `absent` the member is away.

    Attributes:
        committee: what the rule `committee` does.
        estimate: recorded drafts only: for each owner, the paper's committee with M = 1, k = 2 of
            three peers, estimated; see `recorded.misled`.
    """

    benchmark: str
    seed: int
    exam_questions: int
    member: str
    committee: str
    networks: dict[str, Network]
    estimate: dict[str, dict[str, Interval]] = {}


async def sides(
    place: Place,
    exam: Sequence[Item],
    users: Mapping[str, Sequence[Item]],
    evil: frozenset[str],
    seed: int,
) -> dict[str, Side]:
    """Every honest owner's side of a network, by the owner's model.

    Args:
        place: the network.
        exam: examination questions.
        users: each model's owner's questions.
        evil: models of the deceptive devices.
        seed: of which answers are compared.
    """
    found = {}
    for own in place.owners:
        model, owner = place.cards[own].model, Owner(own, place, seed)
        items = users[model]
        await owner.examine(exam)
        answered = {
            "committee": await owner.ask_everybody(items),
            "standings": await owner.ask(items, len(exam), compares=False),
            "dmoa": await owner.ask(items, len(exam), compares=True),
        }
        after = {place.cards[d].model: asked for d, asked in owner.found_after.items()}
        honest = sum(model not in evil for model in after)
        found[model] = Side(model, answered, after, honest)
    return found


def network(
    sides: dict[str, Side], nobody: dict[str, Side], evil: frozenset[str], seed: int
) -> Network:
    """Sums of a network's sides, beside those of the same owners where nobody attacks."""
    rules = {}
    for name in RULES:
        whole, late = _Sums(seed), _Sums(seed)
        plans: Counter[str] = Counter()
        for model, side in sides.items():
            mine, theirs = side.answered[name], nobody[model].answered[name]
            whole.add(mine, theirs)
            late.add(mine[len(mine) // 2 :], theirs[len(mine) // 2 :])
            plans.update(plan_name(answer.plan) for answer in mine)
        shares = {p: round(count / plans.total(), 4) for p, count in plans.most_common(4)}
        rules[name] = Rule(whole.accuracy, late.accuracy, whole.lost, late.lost, shares)
    return Network(
        n=len(whole.right),
        rules=rules,
        owners={
            model: {rule: _percent(side.answered[rule]) for rule in RULES}
            for model, side in sides.items()
        },
        found_after={
            model: min((n for m, n in side.found_after.items() if m in evil), default=None)
            for model, side in sides.items()
        },
        honest_distrusted=sum(side.honest_distrusted for side in sides.values()),
    )


class _Sums:
    """Means by question, over the owners that it was asked by: these are not independent."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.right: dict[int, list[float]] = {}
        self._lost: dict[int, list[float]] = {}

    def add(self, mine: Sequence[Answered], theirs: Sequence[Answered]) -> None:
        """An owner's answers, and those to the same questions where nobody attacks."""
        for now, before in zip(mine, theirs, strict=True):
            self.right.setdefault(now.number, []).append(float(now.right))
            self._lost.setdefault(now.number, []).append(float(before.right) - float(now.right))

    @property
    def accuracy(self) -> Interval:
        """Percent right."""
        return self._percent(self.right)

    @property
    def lost(self) -> Interval:
        """Points lost."""
        return self._percent(self._lost)

    def _percent(self, values: Mapping[int, Sequence[float]]) -> Interval:
        means = [statistics.fmean(of) for of in values.values()]
        return Bootstrap(len(means), self.seed).percent(means)


def _percent(answered: Sequence[Answered]) -> float:
    return round(100 * statistics.fmean(float(a.right) for a in answered), 4)
