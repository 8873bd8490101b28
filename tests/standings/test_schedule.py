"""Whom to ask what and when, with the clock in our hands."""

import itertools
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest

from dmoa.policies.plans import Plan, alone, committee
from dmoa.standings.decision import Card, decide_idle, view
from dmoa.standings.outcomes import Outcome, Standings
from dmoa.standings.schedule import AHEAD, DAY, KNOWN_WELL, LOST, Ask, Budget, Schedule, State

CARDS = {name: Card(name, name, f"model of {name}") for name in ("ada", "bob", "cyd")}
TEAM = committee(1, ["ada", "bob", "cyd"], "ada")
EVERYONE = frozenset(CARDS)
AMPLE = Budget(share=1.0, per_day=10_000, service=1.0)


class Examiner:
    """A device that carries out what its schedule says, each answer taking some seconds."""

    def __init__(self, budget: Budget = AMPLE, state: State | None = None) -> None:
        self.schedule = Schedule("ada", random.Random(1), budget, state)
        self.standings = Standings()
        self.cards = dict(CARDS)
        self.now = 0.0
        self.asks: list[tuple[float, Ask]] = []
        self.rng = random.Random(2)

    def next(self, idle: frozenset[str] = EVERYONE, plans: Sequence[Plan] = ()) -> Ask | None:
        self.now = max(self.now + 1.0, self.schedule.state.not_before)
        return self.schedule.next(self.now, self.cards, idle, self.standings, plans)

    def run(
        self,
        until: float,
        right: Callable[[Ask], bool] = lambda ask: True,
        seconds: float = 1.0,
        plans: Sequence[Plan] = (),
    ) -> None:
        while self.now < until:
            ask = self.next(plans=plans)
            if ask is None:
                self.now += 60.0
                continue
            self.asks.append((self.now, ask))
            self.standings.note(ask.subject, Outcome(ask.question, "", right(ask), self.now))
            self.schedule.finished(ask, seconds, self.now)

    def asked(self, name: str) -> int:
        return self.standings.record(self.cards[name].subject).asked()


def test_everyone_is_asked_until_known_well_and_then_left_alone() -> None:
    examiner = Examiner()
    examiner.run(DAY)
    assert all(KNOWN_WELL <= examiner.asked(name) <= KNOWN_WELL + 3 for name in CARDS)
    before = len(examiner.asks)
    examiner.run(examiner.now + DAY)
    assert len(examiner.asks) <= before + 12  # what has faded since is asked for again


def test_peers_have_the_same_questions_as_the_own_device() -> None:
    examiner = Examiner()
    examiner.run(DAY)
    own = examiner.standings.record(CARDS["ada"].subject).answers().keys()
    for name in ("bob", "cyd"):
        assert examiner.standings.record(CARDS[name].subject).answers().keys() <= own


def test_a_newcomer_is_asked_what_the_own_device_has_had_the_newest_first() -> None:
    examiner = Examiner()
    for question in range(100, 400, 5):
        outcome = Outcome(question, "", True, 0.0)
        examiner.standings.note(CARDS["ada"].subject, outcome)
        examiner.standings.note(CARDS["bob"].subject, outcome)
    asked = []
    for _ in range(3):
        ask = examiner.next()
        assert ask
        assert ask.plan == alone("cyd")
        asked.append(ask.question)
        examiner.standings.note(ask.subject, Outcome(ask.question, "", True, examiner.now))
        examiner.schedule.finished(ask, 1.0, examiner.now)
    assert asked == [395, 390, 385]


def test_nobody_is_asked_who_is_busy_and_nobody_at_all_when_we_are() -> None:
    examiner = Examiner()
    assert examiner.next(idle=frozenset({"bob", "cyd"})) is None
    for _ in range(50):
        ask = examiner.next(idle=frozenset({"ada", "bob"}))
        assert ask is None or "cyd" not in ask.plan.members
        if ask:
            examiner.standings.note(ask.subject, Outcome(ask.question, "", True, examiner.now))
            examiner.schedule.finished(ask, 1.0, examiner.now)
    assert examiner.asked("cyd") == 0
    assert examiner.asked("bob") > 10


def test_the_own_device_does_not_examine_itself_on_and_on_while_peers_are_busy() -> None:
    examiner = Examiner()
    for _ in range(100):
        if ask := examiner.next(idle=frozenset({"ada"})):
            examiner.standings.note(ask.subject, Outcome(ask.question, "", True, examiner.now))
            examiner.schedule.finished(ask, 1.0, examiner.now)
    assert examiner.asked("ada") in {AHEAD, AHEAD + 1}, (
        "it would be busy whenever they want to ask it"
    )
    examiner.run(examiner.now + DAY)
    assert min(map(examiner.asked, CARDS)) >= KNOWN_WELL


def test_a_device_whose_peers_refuse_or_are_not_there_examines_itself() -> None:
    examiner = Examiner()
    for cards in (CARDS, {"ada": CARDS["ada"]}):
        examiner.cards = dict(cards)
        for _ in range(100):
            ask = examiner.next()
            if ask and ask.plan == alone("ada"):
                examiner.standings.note(ask.subject, Outcome(ask.question, "", True, examiner.now))
                examiner.schedule.finished(ask, 1.0, examiner.now)
            elif ask:
                examiner.schedule.refused(ask, examiner.now)
        assert examiner.asked("ada") >= 60


def test_at_most_the_share_of_each_devices_time_is_spent() -> None:
    examiner = Examiner(Budget(share=0.02, per_day=1000, service=30.0))
    examiner.run(2 * DAY, seconds=30.0)
    for name in CARDS:
        times = [at for at, ask in examiner.asks if name in ask.plan.members]
        assert times
        for start in times:
            spent = 30.0 * sum(start <= at < start + DAY for at in times)
            assert spent <= 0.02 * DAY / len(CARDS)


def test_at_most_so_many_questions_a_day_and_device() -> None:
    examiner = Examiner(Budget(share=1.0, per_day=7))
    examiner.run(3 * DAY)
    for name in CARDS:
        times = [at for at, ask in examiner.asks if name in ask.plan.members]
        assert len(times) >= 20
        assert all(sum(start <= at < start + DAY for at in times) <= 7 for start in times)


def test_times_between_questions_are_random() -> None:
    examiner = Examiner(msgspec.structs.replace(AMPLE, gap=100.0))
    examiner.run(DAY / 4)
    times = [at for at, _ in examiner.asks]
    gaps = sorted(b - a for a, b in itertools.pairwise(times))
    assert gaps[len(gaps) // 10] < 30
    assert gaps[-len(gaps) // 10] > 150


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    examiner = Examiner()
    examiner.now = 366 * DAY
    examiner.run(366 * DAY + 20)
    state = examiner.schedule.state
    state.refusals["bob"] = (1, examiner.now + DAY)
    asked = [
        examiner.schedule.next(now, CARDS, EVERYONE, examiner.standings)
        for now in (DAY, 2 * DAY, 3 * DAY)
    ]
    assert all(asked)
    assert "bob" not in state.refusals, "or it would be left alone for a year"


def test_what_was_begun_before_a_restart_is_asked_again() -> None:
    examiner = Examiner()
    begun = examiner.next()
    assert begun
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(examiner.schedule.state), type=State)
    again = Examiner(state=kept)
    again.now = examiner.now + LOST
    resumed = again.next()
    assert resumed
    assert (resumed.subject, resumed.question) == (begun.subject, begun.question)
    assert resumed.tries == 1


def test_a_failure_is_tried_again_and_given_up_in_the_end() -> None:
    examiner = Examiner()
    questions = []
    for _ in range(3):
        ask = examiner.next()
        assert ask
        questions.append((ask.subject, ask.question, ask.tries))
        examiner.schedule.failed(ask, 1.0, examiner.now)
    assert [tries for _, _, tries in questions] == [0, 1, 2]
    assert len({question for _, question, _ in questions}) == 1
    following = examiner.next()
    assert following
    assert following.tries == 0


def test_one_that_always_fails_keeps_nobody_waiting() -> None:
    examiner = Examiner()
    failures = 0
    while examiner.now < DAY:
        ask = examiner.next()
        if ask is None:
            examiner.now += 60.0
        elif "bob" in ask.plan.members:
            failures += 1
            examiner.schedule.failed(ask, 1.0, examiner.now)
        else:
            examiner.standings.note(ask.subject, Outcome(ask.question, "", True, examiner.now))
            examiner.schedule.finished(ask, 1.0, examiner.now)
    assert examiner.asked("cyd") >= KNOWN_WELL
    assert 3 <= failures <= 3 * 5, "three tries, then peace for longer and longer"


def test_a_plan_that_always_fails_leaves_its_members_alone() -> None:
    examiner = Examiner()
    examiner.run(DAY / 2)
    for _ in range(3):
        ask = examiner.next(plans=[TEAM])
        assert ask
        assert ask.plan == TEAM
        examiner.schedule.failed(ask, 1.0, examiner.now)
    assert examiner.next(plans=[TEAM]) is None
    examiner.standings.records.pop(CARDS["bob"].subject)
    single = examiner.next(plans=[TEAM])
    assert single
    assert single.plan == alone("bob")


def test_what_gave_way_is_asked_again_and_is_no_failure() -> None:
    examiner = Examiner()
    asks = []
    for _ in range(10):
        ask = examiner.next()
        assert ask
        asks.append((ask.subject, ask.question, ask.tries))
        examiner.schedule.broken_off(ask, 0.5, examiner.now)
    assert len(set(asks)) == 1
    assert asks[0][2] == 0


def test_one_that_refuses_is_left_alone_and_has_no_standing() -> None:
    examiner = Examiner()
    refusals = []
    while examiner.now < DAY:
        ask = examiner.next()
        if ask is None:
            examiner.now += 60.0
        elif "cyd" in ask.plan.members:
            refusals.append(examiner.now)
            examiner.schedule.refused(ask, examiner.now)
        else:
            examiner.standings.note(ask.subject, Outcome(ask.question, "", False, examiner.now))
            examiner.schedule.finished(ask, 1.0, examiner.now)
    assert 2 <= len(refusals) <= 6
    assert examiner.asked("cyd") == 0
    made = view(examiner.standings, "ada", CARDS.values(), examiner.now)
    assert decide_idle(made).plan == alone("ada")
    assert all(candidate.plan != alone("cyd") for candidate in made.candidates)


def test_a_card_with_another_model_is_examined_again() -> None:
    examiner = Examiner()
    examiner.run(DAY)
    examiner.cards["cyd"] = Card("cyd", "cyd", "a new model")
    assert examiner.asked("cyd") == 0
    examiner.run(examiner.now + DAY)
    assert examiner.asked("cyd") >= KNOWN_WELL


def test_a_swap_behind_a_card_is_found_out_and_followed() -> None:
    examiner = Examiner(Budget(share=1.0, per_day=400))
    swapped: list[float] = []

    def right(ask: Ask) -> bool:
        name = ask.plan.aggregator
        skill = {"ada": 0.4, "bob": 0.2, "cyd": 0.2 if swapped else 0.85}[name]
        return examiner.rng.random() < skill

    examiner.run(DAY, right)
    known = view(examiner.standings, "ada", CARDS.values(), examiner.now)
    assert decide_idle(known).plan == alone("cyd")
    swapped.append(examiner.now)
    subject = CARDS["cyd"].subject
    for asked in range(50):
        if examiner.standings.note(subject, Outcome(10_000 + asked, "", right(
            Ask(subject, alone("cyd"), asked)), examiner.now)):  # fmt: skip
            break
    else:
        pytest.fail("not found out within 50 questions")
    examiner.run(examiner.now + DAY, right)
    known = view(examiner.standings, "ada", CARDS.values(), examiner.now)
    assert decide_idle(known).plan == alone("ada")


def test_plans_are_asked_when_their_members_are_known_on_the_same_questions() -> None:
    examiner = Examiner()
    examiner.run(DAY, lambda ask: examiner.rng.random() < (0.9 if ask.plan == TEAM else 0.5),
                 plans=[TEAM])  # fmt: skip
    first = next(i for i, (_, ask) in enumerate(examiner.asks) if ask.plan == TEAM)
    assert first >= 30
    made = view(examiner.standings, "ada", CARDS.values(), examiner.now, [TEAM])
    assert made.pairs[TEAM].shared >= 50
    assert decide_idle(made).plan == TEAM


def test_a_hopeless_plan_is_not_asked_on() -> None:
    examiner = Examiner()
    examiner.run(DAY, lambda ask: ask.plan != TEAM, plans=[TEAM])
    assert 30 <= sum(ask.plan == TEAM for _, ask in examiner.asks) <= 35


def test_what_is_remembered_is_bounded() -> None:
    schedule = Schedule("ada", random.Random(1), AMPLE)
    for device in range(6000):
        ask = Ask(f"s{device}", alone(f"d{device}"), 0)
        schedule.finished(ask, 1.0, 0.0)
        schedule.refused(ask, 0.0)
    schedule.next(1.0, CARDS, EVERYONE, Standings())
    assert len(schedule.state.spent) <= 4096
    assert len(schedule.state.refusals) <= 4096
