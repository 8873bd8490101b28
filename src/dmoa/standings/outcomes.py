"""What examinations found: outcomes by subject, and what follows from them.

A subject is a device with its model, or a plan of several. Its outcomes are kept, newest last and
boundedly many, so that two subjects can be compared on the questions that both have had, old
outcomes fade, and a change of skill shows. The skill is a Beta posterior; the prior is uniform,
Beta(1, 1). A card with another model is another subject: it starts from nothing.
"""

import math

import msgspec

from dmoa.standings import beta

KEPT = 256
"""Outcomes of one subject that are kept; older ones are dropped."""
HALF_LIFE = 30 * 86400.0
"""Seconds after which an outcome counts half."""
RATING_WEIGHT = 0.25
"""Of a user's rating, against 1 of an examination: what pleases is not always right."""
PRIOR = (1.0, 1.0)
"""Right and wrong that count before there is any outcome."""
TOPIC_STRENGTH = 6.0
"""Outcomes that a subject's overall skill is worth as the prior of its skill in a topic."""
CREDIBLE = 0.95
"""Mass of the interval that is shown."""

CHANGE_MARGIN = 15
"""Outcomes that must lie on either side of a change."""
CHANGE_EVIDENCE = 6.5
"""Log-likelihood ratio from which a subject counts as changed. Measured: a fall from 0.78 to 0.36
after 60 questions is found within 50 more in 93 of 100 cases, and 4 of 100 subjects that never
change are taken for changed within 200 questions, which costs what was known of them."""

LARGEST_TOPICS = 32
"""Topics that are told apart; others count overall only."""


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """One graded answer.

    Attributes:
        question: which; equal numbers are the same question. Negative: a user's rating.
        topic: of the question, or "".
        right: whether it was.
        at: Unix time, seconds.
        users: whether it is one of the user's own questions, which may be harder or easier than
            those that are drawn.
    """

    question: int
    topic: str
    right: bool
    at: float
    users: bool = False

    @property
    def weight(self) -> float:
        """What it counts when it is new."""
        return RATING_WEIGHT if self.question < 0 else 1.0


class Skill(msgspec.Struct, frozen=True):
    """A Beta posterior of the probability of a right answer."""

    right: float
    wrong: float

    @property
    def mean(self) -> float:
        """Posterior mean."""
        return self.right / (self.right + self.wrong)

    @property
    def variance(self) -> float:
        """Posterior variance."""
        total = self.right + self.wrong
        return self.right * self.wrong / (total * total * (total + 1))

    def interval(self, mass: float = CREDIBLE) -> tuple[float, float]:
        """The central credible interval."""
        tail = (1 - mass) / 2
        return (
            beta.quantile(tail, self.right, self.wrong),
            beta.quantile(1 - tail, self.right, self.wrong),
        )


class Record(msgspec.Struct):
    """The outcomes of one subject, oldest first."""

    outcomes: list[Outcome] = []
    changes: int = 0

    def add(self, outcome: Outcome) -> bool:
        """Keep an outcome.

        Returns:
            Whether the subject has fallen in skill: what was before that is forgotten.
        """
        if outcome.question >= 0:
            # Asked again after a failure: one question counts once.
            self.outcomes = [o for o in self.outcomes if o.question != outcome.question]
        self.outcomes.append(outcome)
        del self.outcomes[:-KEPT]
        # The user's questions are of another kind than drawn ones: like is compared with like.
        alike = [
            i for i, o in enumerate(self.outcomes) if o.question >= 0 and o.users == outcome.users
        ]
        where = change_point([self.outcomes[i].right for i in alike])
        if where is None:
            return False
        del self.outcomes[: alike[where]]
        self.changes += 1
        return True

    def asked(self) -> int:
        """Questions that are remembered; ratings are none."""
        return sum(o.question >= 0 for o in self.outcomes)

    def right(self) -> int:
        """Those of `asked` that were answered right."""
        return sum(o.right for o in self.outcomes if o.question >= 0)

    def skill(self, now: float) -> Skill:
        """The skill overall."""
        return Skill(*(p + w for p, w in zip(PRIOR, self._weights(now, None), strict=True)))

    def topic_skill(self, topic: str, now: float) -> Skill:
        """The skill in a topic, drawn towards the skill overall while little is known of it."""
        mean = self.skill(now).mean
        right, wrong = self._weights(now, topic)
        return Skill(TOPIC_STRENGTH * mean + right, TOPIC_STRENGTH * (1 - mean) + wrong)

    def topics(self) -> list[str]:
        """Topics of which there are outcomes, in order of their first."""
        return list(dict.fromkeys(o.topic for o in self.outcomes if o.topic))[:LARGEST_TOPICS]

    def answers(self) -> dict[int, Outcome]:
        """Outcomes of examinations by question."""
        return {o.question: o for o in self.outcomes if o.question >= 0}

    def of_the_user(self) -> "Record":
        """The part of the user's own questions."""
        return Record([o for o in self.outcomes if o.users])

    def disliked(self, now: float) -> float:
        """Weight of the user's bad ratings."""
        bad = (o for o in self.outcomes if o.question < 0 and not o.right)
        return sum(o.weight * faded(o.at, now) for o in bad)

    def _weights(self, now: float, topic: str | None) -> tuple[float, float]:
        right = wrong = 0.0
        for o in self.outcomes:
            if topic is None or o.topic == topic:
                weight = o.weight * faded(o.at, now)
                if o.right:
                    right += weight
                else:
                    wrong += weight
        return right, wrong


def faded(at: float, now: float) -> float:
    """What is left of the weight of something that was at one time."""
    return math.exp2(-max(0.0, now - at) / HALF_LIFE)


def change_point(rights: list[bool]) -> int | None:
    """Where the rate of rights fell in a sequence, or None if it did not.

    The generalised likelihood ratio of two rates against one, over all places to cut, with
    CHANGE_MARGIN outcomes on either side. Only falls are looked for: one who gets better is
    found out by the next questions, and is no danger until then. O(n).

    Returns:
        Index of the first outcome after the change.
    """
    n, total = len(rights), sum(rights)
    together = _log_likelihood(total, n)
    where, most, before = None, CHANGE_EVIDENCE, 0
    for cut in range(1, n - CHANGE_MARGIN + 1):
        before += rights[cut - 1]
        if cut < CHANGE_MARGIN or before * (n - cut) <= (total - before) * cut:
            continue
        apart = _log_likelihood(before, cut) + _log_likelihood(total - before, n - cut)
        if apart - together > most:
            where, most = cut, apart - together
    return where


def _log_likelihood(right: int, n: int) -> float:
    """Of `right` in n at the rate that fits best."""
    return sum(count * math.log(count / n) for count in (right, n - right) if count)


class Pair(msgspec.Struct, frozen=True):
    """Two subjects on the questions that both have had: faded counts.

    Attributes:
        wins: the first was right, the second wrong.
        losses: the other way round.
        ties: both right or both wrong.
    """

    wins: float
    losses: float
    ties: float

    @property
    def shared(self) -> float:
        """Questions that both have had."""
        return self.wins + self.losses + self.ties

    @property
    def difference(self) -> float:
        """Posterior mean of the first's skill less the second's; prior one win, loss and tie."""
        return (self.wins - self.losses) / (self.shared + 3.0)

    @property
    def chance(self) -> float:
        """Posterior probability that the first is better.

        Of the questions that one of them alone gets right, the first's share is Beta(wins + 1,
        losses + 1) whatever the ties, and the first is better if the share is above one half.
        """
        return 1.0 - beta.cdf(0.5, self.wins + 1.0, self.losses + 1.0)


def paired(first: Record, second: Record, now: float) -> Pair:
    """Compare two subjects on shared questions."""
    counts = {True: 0.0, False: 0.0, None: 0.0}
    other = second.answers()
    for question, mine in first.answers().items():
        if theirs := other.get(question):
            weight = faded(min(mine.at, theirs.at), now)
            counts[None if mine.right == theirs.right else mine.right] += weight
    return Pair(counts[True], counts[False], counts[None])


def compared(first: Record, second: Record, now: float) -> Pair:
    """Two subjects on shared questions and by bad ratings.

    An answer that displeased is a part of a question that the other would have won.
    """
    pair = paired(first, second, now)
    return Pair(pair.wins + second.disliked(now), pair.losses + first.disliked(now), pair.ties)


def better(first: Record, second: Record, now: float, least: float = 10.0) -> float:
    """Probability that the first subject is better than the second.

    As `compared`, where there are at least `least` shared questions; otherwise from the two
    posteriors, by the normal law of their difference.
    """
    if paired(first, second, now).shared >= least:
        return compared(first, second, now).chance
    one, two = first.skill(now), second.skill(now)
    spread = math.sqrt(one.variance + two.variance)
    return 0.5 * (1 + math.erf((one.mean - two.mean) / (spread * math.sqrt(2))))


SUBJECTS = 1024
"""Subjects that are kept; the one that has had no outcome for longest is dropped."""


class Standings(msgspec.Struct):
    """Records by subject. Encoded by msgspec, it is what a device keeps between its runs.

    A subject is a text: `subject_of` makes it of a device's key id and model; a plan is called
    by `decision.plan_subject`.
    """

    records: dict[str, Record] = {}
    ratings: int = 0

    def record(self, subject: str) -> Record:
        """The record of a subject; an empty one, which is not kept, if there is none."""
        return self.records.get(subject) or Record()

    def note(self, subject: str, outcome: Outcome) -> bool:
        """Keep an outcome; True if it shows that the subject's skill has changed."""
        # Newest last, so that the stalest is first to go.
        record = self.records.pop(subject, None) or Record()
        self.records[subject] = record
        while len(self.records) > SUBJECTS:
            del self.records[next(iter(self.records))]
        return record.add(outcome)

    def rate(self, subject: str, good: bool, at: float) -> None:
        """Keep a user's rating of an answer."""
        self.ratings += 1
        self.note(subject, Outcome(-self.ratings, "", good, at))


def subject_of(device: str, model: str) -> str:
    """The subject of a device, by its key, with the model that its card states."""
    return f"{device}\n{model}"
