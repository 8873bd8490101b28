"""When a device examines whom, and by which question: a pure object with the time passed in.

It asks only while this device and everyone asked are idle, at random times, within a share of
each device's time and a number a day. The own device is asked new questions; peers and plans
follow on the same ones, so that they can be compared in pairs. What was begun and not finished
(a restart, a failure) is asked again. Whom it knows least about is next. Half of the examinations
are the user's own questions, until everybody worth it has had each of them once.

    ask = schedule.next(now, cards, idle, standings, plans)
    if ask:  # carry it out, then one of
        schedule.finished(ask, seconds, now)
        schedule.failed(ask, seconds, now)
        schedule.broken_off(ask, seconds, now)
        schedule.refused(ask, now)
"""

import random
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence

import msgspec

from dmoa.policies.plans import Plan, alone, work_of
from dmoa.standings.decision import LEAST_ASKED, Card, plan_subject
from dmoa.standings.outcomes import Record, Standings, paired

DAY = 86400.0
LONGEST_GAPS = 50.0
"""An exponential gap of so many means is never drawn."""
KNOWN_WELL = 60.0
"""Outcomes, faded, after which a subject is known well enough."""
HOPELESS = 0.05
"""What beats the best LLM alone with less probability than this is not asked on."""
HOPELESS_AFTER = 30.0
AHEAD = 5
"""Questions that the own device may be ahead of its peers. One that examines itself on and on is
busy, and so are its peers: measured live, slow LLMs had 60 own answers each and none of others."""
USERS_SHARE = 0.5
"""Of the examinations that are the user's own questions, as long as there are any left."""
TRIES = 3
REFUSED = 3600.0
"""Seconds for which one who refused is left alone; each refusal in a row doubles it to a day."""
LOST = 900.0
"""Seconds after which what was begun counts as lost, and is asked again."""
REMEMBERED = 4096
"""Devices whose spent time and refusals are remembered, and asks that are under way."""


class Budget(msgspec.Struct, frozen=True):
    """How much may be spent on examinations.

    Attributes:
        share: of each device's time, together for all devices that may examine it.
        per_day: questions a day and device.
        gap: mean seconds between two questions of this device, at least.
        service: seconds that an inference is taken to last where it is not known.
    """

    share: float = 0.02
    per_day: int = 100
    gap: float = 20.0
    service: float = 5.0


class Ask(msgspec.Struct, frozen=True):
    """A question to put.

    Attributes:
        subject: whose record it is for.
        members: devices that have work of it.
        plan: what is done.
        question: which, for `questions.Bank`.
        tries: how often it has been begun before.
        at: Unix time at which it was begun.
    """

    subject: str
    plan: Plan
    question: int
    tries: int = 0
    at: float = 0.0


class State(msgspec.Struct):
    """What a device keeps of its schedule between its runs.

    Attributes:
        fresh: number of the next new question.
        not_before: Unix time of the next question.
        spent: of each device, when it was asked in the last day, and the seconds that it took.
        under_way: questions that were begun and not finished, by subject.
        refusals: of each device or plan, how many in a row, and until when it is left alone;
            so many failures of one question as are tried count as one.
        put: of each subject, the last one of the user's own questions that it was asked.
    """

    fresh: int = 0
    not_before: float = 0.0
    spent: dict[str, list[tuple[float, float]]] = {}
    under_way: dict[str, Ask] = {}
    refusals: dict[str, tuple[int, float]] = {}
    put: dict[str, int] = {}


class Schedule:
    """Says what to ask whom next.

    Args:
        own: key id of the own device.
        rng: private; times and ties are drawn from it.
        budget: how much may be spent.
        state: of an earlier run.
    """

    def __init__(
        self,
        own: str,
        rng: random.Random,
        budget: Budget | None = None,
        state: State | None = None,
    ) -> None:
        self.own = own
        self.budget = budget or Budget()
        self.state = state or State()
        self._rng = rng

    def next(
        self,
        now: float,
        cards: Mapping[str, Card],
        idle: Collection[str],
        standings: Standings,
        plans: Sequence[Plan] = (),
        seconds: Mapping[str, float] | None = None,
        users: Sequence[int] = (),
    ) -> Ask | None:
        """The question to put now, which counts as begun; None if there is none.

        Args:
            now: Unix time, seconds.
            cards: of all devices that are there, the own one included.
            idle: devices that have nothing to do.
            standings: what is known.
            plans: of several devices, that are worth examining.
            seconds: mean service time of each device, where known.
            users: the user's own questions, in ascending order.
        """
        longest = LONGEST_GAPS * self.budget.gap  # later than that: the clock was set back
        if now < self.state.not_before < now + longest or self.own not in idle:
            return None
        self._forget(now)
        service = seconds or {}
        room = self._room(now, idle, len(cards))
        able = [
            plan
            for plan in (*map(alone, cards), *plans)
            if plan.members <= cards.keys()
            and all(
                inferences * service.get(device, self.budget.service) <= room.get(device, -1.0)
                for device, inferences in work_of(plan).items()
            )
        ]
        subjects = {plan_subject(plan, cards): plan for plan in able}
        for subject in [s for s in subjects if self.state.refusals.get(s, (0, 0.0))[1] > now]:
            del subjects[subject]
        ask = self._lost(subjects, now)
        if ask is None:
            ask = self._chosen(subjects, cards, standings, users, now)
        # Exponential gaps: when the next one comes tells nothing.
        self.state.not_before = now + self._rng.expovariate(1 / self.budget.gap)
        if ask:
            self.state.under_way.pop(ask.subject, None)
            self.state.under_way[ask.subject] = ask
            while len(self.state.under_way) > REMEMBERED:
                del self.state.under_way[next(iter(self.state.under_way))]
        return ask

    def finished(self, ask: Ask, seconds: float, now: float) -> None:
        """It was answered: seconds of service, of each device."""
        self._spend(ask, seconds, now)
        self.state.under_way.pop(ask.subject, None)
        for who in (*ask.plan.members, ask.subject):
            self.state.refusals.pop(who, None)

    def failed(self, ask: Ask, seconds: float, now: float) -> None:
        """It was not answered, by nobody's will: asked again later, TRIES times in all.

        One who failed so often is left alone for a while, or the others would wait for it.
        """
        self._spend(ask, seconds, now)
        if ask.tries + 1 >= TRIES:
            self.state.under_way.pop(ask.subject, None)
            who = ask.plan.aggregator if ask.plan.method == "alone" else ask.subject
            if who != self.own:  # whose answers the others' are compared with
                self._leave_alone(who, now)
        else:
            self._ask_again(ask, now)

    def broken_off(self, ask: Ask, seconds: float, now: float) -> None:
        """It gave way to a user's work: asked again later, and no failure of anybody."""
        self._spend(ask, seconds, now)
        self._ask_again(msgspec.structs.replace(ask, tries=ask.tries - 1), now)

    def _ask_again(self, ask: Ask, now: float) -> None:
        if ask.subject in self.state.under_way:
            self.state.under_way[ask.subject] = msgspec.structs.replace(ask, at=now - LOST)

    def refused(self, ask: Ask, now: float) -> None:
        """Somebody did not want to: no outcome, so no standing, and peace for longer and longer."""
        self.state.under_way.pop(ask.subject, None)
        for device in ask.plan.members - {self.own}:
            self._leave_alone(device, now)

    def _leave_alone(self, who: str, now: float) -> None:
        times = self.state.refusals.get(who, (0, 0.0))[0] + 1
        self.state.refusals[who] = (times, now + min(DAY, REFUSED * 2.0 ** min(times - 1, 16)))

    # --- who may be asked --------------------------------------------------------------------

    def _room(self, now: float, idle: Collection[str], devices: int) -> dict[str, float]:
        """Seconds that each device may still be asked for today; those only that may be asked."""
        # Every device may examine every other, and all of them together keep to the share.
        most = self.budget.share * DAY / devices
        room = {}
        for device in idle:
            spent = self.state.spent.get(device, [])
            refused_until = self.state.refusals.get(device, (0, 0.0))[1]
            if refused_until <= now and len(spent) < self.budget.per_day:
                room[device] = most - sum(seconds for _, seconds in spent)
        return room

    def _spend(self, ask: Ask, seconds: float, now: float) -> None:
        for device in ask.plan.members:
            self.state.spent.setdefault(device, []).append((now, seconds))

    def _forget(self, now: float) -> None:
        """Drop what is more than a day old or cannot be yet, and devices beyond a bound."""
        for kept in (self.state.spent, self.state.refusals, self.state.put):
            while len(kept) > REMEMBERED:
                del kept[next(iter(kept))]
        for who in [w for w, (_, until) in self.state.refusals.items() if until > now + DAY]:
            del self.state.refusals[who]  # the clock was set back
        for device, spent in list(self.state.spent.items()):
            self.state.spent[device] = [(at, s) for at, s in spent if now - DAY < at <= now]
            if not self.state.spent[device]:
                del self.state.spent[device]

    # --- what is asked -----------------------------------------------------------------------

    def _lost(self, subjects: Mapping[str, Plan], now: float) -> Ask | None:
        """What was begun long ago and never finished."""
        for subject, ask in self.state.under_way.items():
            if subject in subjects and ask.at <= now - LOST:
                return msgspec.structs.replace(ask, tries=ask.tries + 1, at=now)
        return None

    def _chosen(
        self,
        subjects: Mapping[str, Plan],
        cards: Mapping[str, Card],
        standings: Standings,
        users: Sequence[int],
        now: float,
    ) -> Ask | None:
        users_turn = self._rng.random() < USERS_SHARE
        theirs = self._of_the_user(subjects, cards, standings, users, now) if users else None
        if theirs is None or not users_turn:
            ask = self._least_known(subjects, cards, standings, now)
            if ask is not None or theirs is None:
                return ask
        self.state.put.pop(theirs.subject, None)
        self.state.put[theirs.subject] = theirs.question
        return theirs

    def _of_the_user(
        self,
        subjects: Mapping[str, Plan],
        cards: Mapping[str, Card],
        standings: Standings,
        users: Sequence[int],
        now: float,
    ) -> Ask | None:
        """The next of the user's questions, for whom has had fewest; the own device goes ahead."""
        singles = [standings.record(card.subject).of_the_user() for card in cards.values()]
        best = max(singles, key=lambda record: record.skill(now).mean)
        ahead = self.state.put.get(cards[self.own].subject, -1)
        wanted: list[tuple[float, float, Ask]] = []
        for subject, plan in subjects.items():
            had = bisect_right(users, self.state.put.get(subject, -1))
            if subject in self.state.under_way or had == len(users):
                continue
            if plan != alone(self.own):
                if users[had] > ahead:
                    continue
                record = standings.record(subject).of_the_user()
                if _is_hopeless(record, best, now) or not _are_known(plan, cards, standings):
                    continue
            rank = had + (0.0 if plan.method == "alone" else LEAST_ASKED)
            wanted.append((rank, self._rng.random(), Ask(subject, plan, users[had], at=now)))
        return min(wanted, key=lambda entry: entry[:2])[2] if wanted else None

    def _least_known(
        self,
        subjects: Mapping[str, Plan],
        cards: Mapping[str, Card],
        standings: Standings,
        now: float,
    ) -> Ask | None:
        own = standings.record(cards[self.own].subject)
        singles = [standings.record(card.subject) for card in cards.values()]
        best = max(singles, key=lambda record: record.skill(now).mean)
        most = self._peers_known(cards, standings, now) + AHEAD
        wanted: list[tuple[float, float, Ask]] = []
        for subject, plan in subjects.items():
            if subject in self.state.under_way:
                continue
            record = standings.record(subject)
            known = _weight(record, now)
            mine = plan == alone(self.own)
            if known >= (min(KNOWN_WELL, most) if mine else KNOWN_WELL):
                continue
            if plan.method != "alone" and (
                _is_hopeless(record, best, now) or not _are_known(plan, cards, standings)
            ):
                continue
            question = self._fresh(own) if mine else _follow(record, own)
            if question is not None:
                # Plans cost more and matter only when their members are known.
                rank = known + (0.0 if plan.method == "alone" else LEAST_ASKED)
                wanted.append((rank, self._rng.random(), Ask(subject, plan, question, at=now)))
        if not wanted:
            return None
        ask = min(wanted, key=lambda entry: entry[:2])[2]
        self.state.fresh = max(self.state.fresh, ask.question + 1)
        return ask

    def _peers_known(self, cards: Mapping[str, Card], standings: Standings, now: float) -> float:
        """Outcomes, faded, of the peer that is known best; without end if nobody can be asked."""
        known = [
            _weight(standings.record(card.subject), now)
            for device, card in cards.items()
            if device != self.own and self.state.refusals.get(device, (0, 0.0))[1] <= now
        ]
        return max(known, default=KNOWN_WELL)

    def _fresh(self, own: Record) -> int:
        return max(self.state.fresh, 1 + max(own.answers(), default=-1))


def _weight(record: Record, now: float) -> float:
    skill = record.skill(now)
    return skill.right + skill.wrong - 2.0


def _follow(record: Record, own: Record) -> int | None:
    """The newest drawn question that the own device has had and this subject has not."""
    drawn = {question for question, outcome in own.answers().items() if not outcome.users}
    return max(drawn - record.answers().keys(), default=None)


def _are_known(plan: Plan, cards: Mapping[str, Card], standings: Standings) -> bool:
    """Whether enough is known of the members of a plan of several."""
    if plan.method == "alone":
        return True
    members = (standings.record(cards[device].subject) for device in plan.members)
    return all(member.asked() >= LEAST_ASKED for member in members)


def _is_hopeless(record: Record, best: Record, now: float) -> bool:
    """Whether a subject is so surely worse than the best that asking on is a waste."""
    pair = paired(record, best, now)
    return pair.shared >= HOPELESS_AFTER and pair.chance < HOPELESS
