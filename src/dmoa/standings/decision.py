"""From standings to plans: what each plan can be counted on for, what is taken, and why.

The reference is the own LLM alone. A peer alone counts as better only when that is credible,
and so does a plan of several devices against the best of the single ones, on the same
questions. Plans and peers that have not been examined are no candidates: nothing is tried out
on a user's prompt. What was chosen is held (`Held`) until something else is credibly better, or
it is no longer worth what it costs; without that, each new outcome could turn the choice round.

    decision = decide(known, view(standings, cards, now), may_ask=alive_and_allowed)
    decision.plan, decision.why
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from dmoa.policies.law import PATIENCE
from dmoa.policies.plans import (
    LEVEL,
    UNLOADED,
    Candidate,
    Load,
    Plan,
    alone,
    best,
    counted,
    level_among,
    possible,
    work_of,
)
from dmoa.standings.outcomes import (
    Pair,
    Record,
    Standings,
    better,
    compared,
    paired,
    subject_of,
)

LEAST_ASKED = 10
"""Questions after which a device or plan is a candidate at all."""
HOME = 0.8
"""How sure one must be to come back to the own LLM from a peer that was better."""
EVEN = 0.5
"""How sure one must be to keep a device that was better in a topic."""
TOPIC_ASKED = 5
"""Questions of a topic that two devices must share to be compared in it."""


@dataclass(frozen=True)
class Card:
    """A device as the network knows it.

    Attributes:
        device: its key id.
        name: what it is called, for sentences.
        model: the model that it states; another model is another subject.
    """

    device: str
    name: str
    model: str

    @property
    def subject(self) -> str:
        """Under which its outcomes stand."""
        return subject_of(self.device, self.model)


def plan_subject(plan: Plan, cards: Mapping[str, Card]) -> str:
    """Under which a plan's outcomes stand: its shape, and its devices with their models.

    One device alone stands under its own subject.

    Raises:
        KeyError: a device of the plan has no card.
    """
    if plan.method == "alone":
        return cards[plan.aggregator].subject
    members = "\t".join(cards[device].subject for device in plan.devices)
    shape = f"{plan.method} {plan.layers} {plan.proposers}"
    return f"{shape}\t{cards[plan.aggregator].subject}\t{members}"


class Held(msgspec.Struct, frozen=True):
    """What was chosen before: with it, others are compared.

    Attributes:
        single: the best device alone; "" for the own one.
        plan: of several devices, if one was better than that.
        topics: the best device of each topic in which it was another one.
    """

    single: str = ""
    plan: Plan | None = None
    topics: dict[str, str] = {}


NOTHING_HELD = Held()


@dataclass
class View:
    """What is known of devices and plans, ready to decide from; made anew when that changes.

    Attributes:
        own: key id of the own device.
        cards: of all devices, the own one included.
        asked: questions of each plan.
        right: of them, answered right.
        candidates: plans with what they can be counted on for, the own LLM first.
        by_topic: the same for each topic in which another one is credibly better.
        pairs: for each plan of several devices, its comparison with the best single one.
        held: what is chosen by this, to be given to the next view.
    """

    own: str
    cards: Mapping[str, Card]
    asked: dict[Plan, int]
    right: dict[Plan, int]
    candidates: list[Candidate]
    by_topic: dict[str, list[Candidate]] = field(default_factory=dict)
    pairs: dict[Plan, Pair] = field(default_factory=dict)
    held: Held = NOTHING_HELD

    def of(self, topic: str) -> list[Candidate]:
        """Every candidate of a topic's prompts, those for any topic included."""
        return [*self.by_topic.get(topic, []), *self.candidates]


@dataclass(frozen=True)
class Decision:
    """The plan of one prompt.

    Attributes:
        plan: what is done.
        why: a sentence for the user.
        quality: probability that the answer is right, as far as it can be counted on.
        topic: that the prompt was taken for, if that made a difference; or "".
    """

    plan: Plan
    why: str
    quality: float
    topic: str = ""


def view(
    standings: Standings,
    own: str,
    cards: Iterable[Card],
    now: float,
    plans: Sequence[Plan] = (),
    held: Held = NOTHING_HELD,
    level: float = LEVEL,
) -> View:
    """What is known of devices and plans.

    Args:
        standings: outcomes of examinations and ratings.
        own: key id of the own device, which has one of the cards.
        cards: of all devices.
        now: Unix time, seconds.
        plans: of several devices, that were examined or could have been.
        held: what was chosen by the view before.
        level: how sure one must be to leave what one has.
    """
    known = {card.device: card for card in cards}
    records = {device: standings.record(card.subject) for device, card in known.items()}
    base = held.single if held.single in known else own
    singles = _single_qualities(records, own, base, level, now)
    made = View(own, known, {}, {}, [_candidate(alone(d), q) for d, q in singles.items()])
    for device, record in records.items():
        made.asked[alone(device)] = record.asked()
        made.right[alone(device)] = record.right()
    reference = max(singles, key=singles.__getitem__)
    several = {
        plan: standings.record(plan_subject(plan, known))
        for plan in plans
        if plan.members <= known.keys() and plan.method != "alone"
    }
    for plan, record in several.items():
        made.asked[plan], made.right[plan] = record.asked(), record.right()
        made.pairs[plan] = compared(record, records[reference], now)
    made.candidates += _several_qualities(made, several, singles[reference], held.plan, level, now)
    made.by_topic = _by_topic(made, records, held.topics, level, now)
    made.held = _held(made, reference, held)
    return made


def _candidate(plan: Plan, quality: float) -> Candidate:
    return Candidate(plan, quality, work_of(plan))


def _single_qualities(
    records: Mapping[str, Record], own: str, base: str, level: float, now: float
) -> dict[str, float]:
    """What each device alone can be counted on for, beside the one that is held; own one first."""
    means = {device: record.skill(now).mean for device, record in records.items()}
    known = [device for device, record in records.items() if record.asked() >= LEAST_ASKED]
    if own not in known:
        return {own: means[own]}  # nothing to compare with
    if base not in known:
        base = own
    needed = level_among(len(known) - 1, level)
    found = {own: means[own]}
    for device in known:
        if device == base:
            found[device] = means[device]
        else:
            chance = better(records[device], records[base], now)
            # To come home is no risk: what is credible at all is enough.
            enough = HOME if device == own else needed
            found[device] = counted(means[device], means[base], chance, enough)
    return found


def _several_qualities(
    made: View,
    several: Mapping[Plan, Record],
    reference: float,
    held: Plan | None,
    level: float,
    now: float,
) -> list[Candidate]:
    """What plans of several can be counted on for, beside the best single one and what is held."""
    needed = level_among(len(several), level)
    asked = {plan: made.pairs[plan] for plan in several if made.pairs[plan].shared >= LEAST_ASKED}
    mean = {plan: reference + pair.difference for plan, pair in asked.items()}
    found = []
    for plan, pair in asked.items():
        quality = mean[plan]
        if plan != held:
            quality = counted(quality, reference, pair.chance, needed)
            if held in mean:
                chance = compared(several[plan], several[held], now).chance
                quality = min(quality, counted(mean[plan], mean[held], chance, needed))
        found.append(_candidate(plan, quality))
    return found


def _by_topic(
    made: View,
    records: Mapping[str, Record],
    held: Mapping[str, str],
    level: float,
    now: float,
) -> dict[str, list[Candidate]]:
    """Candidates of each topic in which a device is credibly better than the overall choice.

    A topic is told apart only where that is measured to help; all comparisons together are
    wrong as seldom as one. One that is held stays until the overall choice looks better.
    """
    choice = _idle_choice(made.candidates)
    if choice.method != "alone":
        return {}
    mine = records[choice.aggregator]
    found: dict[str, list[Candidate]] = {}
    topics = mine.topics()
    rivals = [d for d in records if d != choice.aggregator and made.asked[alone(d)] >= LEAST_ASKED]
    needed = level_among(len(topics) * len(rivals), level)
    for topic in topics:
        part = _of_topic(mine, topic)
        reference = mine.topic_skill(topic, now).mean
        qualities = {choice.aggregator: reference}
        for device in rivals:
            pair = paired(_of_topic(records[device], topic), part, now)
            enough = EVEN if held.get(topic) == device else needed
            if pair.shared >= TOPIC_ASKED and pair.chance >= enough:
                qualities[device] = records[device].topic_skill(topic, now).mean
        if len(qualities) > 1:
            found[topic] = [_candidate(alone(d), q) for d, q in qualities.items()]
    return found


def _held(made: View, reference: str, before: Held) -> Held:
    """What is held from now on; who is away for a while is not forgotten."""
    choice = _idle_choice(made.candidates)
    single, plan = reference, choice if choice.method != "alone" else None
    if reference == made.own:
        single = "" if before.single in made.cards else before.single
    if plan is None and before.plan is not None and not before.plan.members <= made.cards.keys():
        plan = before.plan
    topics = {topic: _idle_choice(of).aggregator for topic, of in made.by_topic.items()}
    return Held(single, plan, topics)


def _idle_choice(candidates: Sequence[Candidate]) -> Plan:
    """What is taken of all candidates while nobody is busy."""
    return (best(candidates) or candidates[0]).plan


def _of_topic(record: Record, topic: str) -> Record:
    return Record([outcome for outcome in record.outcomes if outcome.topic == topic])


def decide(
    made: View,
    *,
    topic: str = "",
    may_ask: Callable[[str], bool] = lambda device: True,
    load: Load = UNLOADED,
    patience: float = PATIENCE,
) -> Decision | None:
    """The plan of one prompt; None if none is worth what its work costs now.

    Args:
        made: what is known.
        topic: that the prompt is taken for, or "".
        may_ask: whether a peer is alive and may be asked this; the own device always may.
        load: how busy devices are.
        patience: V of `policies.law`.
    """
    told = topic in made.by_topic and any(
        possible(c.plan, made.own, may_ask) for c in made.by_topic[topic]
    )
    candidates = able(made, topic, may_ask)
    taken = best(candidates, load, patience)
    if taken is None:
        return None
    return Decision(
        taken.plan, reason(made, taken.plan, candidates), taken.quality, topic if told else ""
    )


def decide_idle(
    made: View, *, topic: str = "", may_ask: Callable[[str], bool] = lambda device: True
) -> Decision:
    """The plan of a prompt while nobody is busy: nothing is refused then; see `decide`."""
    own = alone(made.own)
    reason = "every LLM was wrong in nearly all questions, so this device's answers"
    return decide(made, topic=topic, may_ask=may_ask) or Decision(own, reason, 0.0)


def able(made: View, topic: str, may_ask: Callable[[str], bool]) -> list[Candidate]:
    """The candidates of a prompt that can be carried out, of its topic where there are such."""
    for candidates in (made.by_topic.get(topic, []), made.candidates):
        if found := [c for c in candidates if possible(c.plan, made.own, may_ask)]:
            return found
    return []


def best_single(made: View, may_ask: Callable[[str], bool] = lambda device: True) -> Decision:
    """The one device that is known to be the best, busy or not; see `decide`."""
    singles = [c for c in made.candidates if c.plan.method == "alone"]
    there = [c for c in singles if possible(c.plan, made.own, may_ask)]
    taken = best(there) or there[0]
    return Decision(taken.plan, reason(made, taken.plan, there), taken.quality)


# --- why -------------------------------------------------------------------------------------


def reason(made: View, plan: Plan, there: Sequence[Candidate]) -> str:
    """Why a plan is taken, in a sentence with the numbers that it rests on."""
    own = alone(made.own)
    if plan == own:
        return f"{_own_reason(made, there)}{_committees(made)}"
    if plan.method == "alone":
        card = made.cards[plan.aggregator]
        mine = f"this one's in {made.right[own]}"
        if made.asked[own] != made.asked[plan]:
            mine += f" of {made.asked[own]}"
        return (
            f"{card.name}'s LLM was right in {made.right[plan]} of {made.asked[plan]} questions,"
            f" {mine}{_committees(made)}"
        )
    pair = made.pairs[plan]
    names = ", ".join(made.cards[device].name for device in plan.devices)
    return (
        f"{_called(plan)} of {names} was right in {made.right[plan]} of {made.asked[plan]}"
        f" questions; on the same ones it won {pair.wins:.0f} and lost {pair.losses:.0f} against"
        " the best LLM alone"
    )


def _called(plan: Plan) -> str:
    return {"synthesise": "a committee", "vote": "a vote", "select": "a choice"}.get(
        plan.method, "one"
    )


def _own_reason(made: View, there: Sequence[Candidate]) -> str:
    own = alone(made.own)
    others = [c.plan for c in made.candidates if c.plan.method == "alone" and c.plan != own]
    if not others:
        return "too little is known of the other LLMs yet, so this device's LLM answers"
    best_other = max(others, key=lambda plan: made.right[plan] / max(1, made.asked[plan]))
    name = made.cards[best_other.aggregator].name
    known = (
        f"this device's LLM was right in {made.right[own]} of {made.asked[own]} questions,"
        f" {name}'s in {made.right[best_other]} of {made.asked[best_other]}"
    )
    quality = {c.plan: c.quality for c in made.candidates}
    if quality[best_other] <= quality[own]:
        return known
    if all(c.plan != best_other for c in there):
        return f"{known}, but {name} cannot be asked"
    return f"{known}, but {name} is busier"


def _committees(made: View) -> str:
    examined = [p for p in made.pairs if made.asked[p] >= LEAST_ASKED]
    if not examined:
        return ""
    quality = {c.plan: c.quality for c in made.candidates}
    singles = max(q for plan, q in quality.items() if plan.method == "alone")
    if any(quality.get(plan, 0.0) > singles for plan in examined):
        return "; committees have been better, but not by what they cost"
    return "; committees have not been better"
