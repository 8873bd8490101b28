"""Generated questions: many, different, gradable, and not told apart by their form."""

import random
import statistics
from collections import Counter
from pathlib import Path

import pytest

from dmoa.errors import UsageError
from dmoa.standings.grading import is_right
from dmoa.standings.questions import question, topics
from dmoa.standings.questions.bank import Bank
from dmoa.standings.questions.own import LINE_BYTES, OwnQuestion, read_questions
from dmoa.standings.questions.wording import Manner

ASKED = [question("a secret of these tests", index) for index in range(4000)]


def test_there_are_at_least_eight_topics_and_all_are_asked() -> None:
    assert len(topics()) >= 8
    assert set(Counter(q.topic for q in ASKED)) == set(topics())


def test_there_are_more_than_a_million_bare_questions() -> None:
    """By their collisions: n draws of N equally likely ones collide about n^2 / 2N times."""
    rng, n = random.Random(5), 20_000
    different = len({topics()["arithmetic"](rng).text for _ in range(n)})
    assert n - different < n * n / (2 * 1_000_000)


def test_a_question_follows_from_seed_and_number_alone() -> None:
    assert question("one", 7) == question("one", 7)
    assert question("one", 7).text != question("two", 7).text
    assert question("one", 7).text != question("one", 8).text


@pytest.mark.parametrize(
    "reply",
    ["{}", "Answer: {}", "**{}**", "Let me think.\n\nThe answer is {}.", "So it must be {}."],
)
def test_the_right_answer_is_graded_right_however_it_is_said(reply: str) -> None:
    missed = [q for q in ASKED if not is_right(reply.format(q.answers[0]), q.answers)]
    assert not missed


def test_an_answer_to_another_question_is_wrong() -> None:
    by_topic: dict[str, list[str]] = {}
    wrong = 0
    for q in ASKED:
        before = by_topic.setdefault(q.topic, [])
        wrong += bool(before) and is_right(f"Answer: {before[-1]}", q.answers)
        before.append(q.answers[-1])
    assert wrong < 0.06 * len(ASKED)  # yes and no, weekdays and small numbers meet by chance


def test_the_question_itself_is_no_answer() -> None:
    echoed = sum(is_right(q.text, q.answers) for q in ASKED if q.topic != "reading")
    assert echoed < 0.03 * len(ASKED)


# --- what a hostile peer sees -----------------------------------------------------------------

# As people write to assistants; invented here.
USERS = (
    """
What should I cook tonight with leeks, eggs and some old bread?
rewrite this so it sounds less angry: I told you twice that the invoice was wrong.
Hi! Can you explain what a queue is, in simple words?
how many calories in a boiled egg
Please write a short birthday poem for my aunt Hana, she likes sailing and her two cats.
What's the difference between a virus and a bacterium?
translate to French: the shop is closed on Monday
A train leaves Arden at 09:10 and arrives at 13:45. How long is the journey?
What is 15% of 260?
I have 3 metres of rope and need pieces of 40 cm. How many do I get?
Is it safe to eat rice from yesterday?
who wrote The Master and Margarita
My landlord wants to raise the rent by 12 percent, from 840 euros. What would I pay then? He says
 that it is because of the new heating, which we did not ask for. I would also like to know whether
 I can object, and in which form, and what a polite letter would look like. I have been living here
 for six years, and the last increase was two years ago.
Summarise: The council met on Tuesday. It was decided that the bridge stays closed until the summer,
 since the repairs take longer than planned. The mayor said that she was sorry. Two shops on the
 other side have asked for help, and will get a part of their rent back. The next meeting is in May.
Why does my Python code print None?\ndef f(x):\n    x + 1\nprint(f(3))
Give me five names for a small bakery.
What is the capital of Mongolia?
fix the grammar: he dont know what he want
I'm preparing a talk for my class about volcanoes. Which three should I mention, and why those?
Convert 72 inches to centimetres please.
Think of a riddle about time and tell me only the riddle.
can you make this shorter? We would like to inform all residents that the water is going to be
 turned off on Friday between eight and noon because of work on the pipes in the cellar.
Who is older, Ann or Ben, if Ben was born two years before Ann?
Explain step by step how to change a bicycle tyre.
""".strip()
    .replace("\n ", " ")
    .split("\n")
)


def overlap(one: list[float], two: list[float]) -> float:
    """Probability that a draw of one is above a draw of two, ties half: 0.5 tells nothing."""
    pairs = [(a > b) + (a == b) / 2 for a in one for b in two]
    return statistics.fmean(pairs)


def test_length_does_not_tell_examinations_from_prompts() -> None:
    manners = [Manner(length=len(text)) for text in USERS]
    bank = Bank("secret", manners=manners)
    asked = [float(len(bank.question(index).text)) for index in range(1000)]
    users = [float(len(text)) for text in USERS]
    assert 0.42 < overlap(asked, users) < 0.58
    assert statistics.quantiles(asked, n=10)[0] < statistics.quantiles(users, n=10)[0] + 25
    assert statistics.quantiles(asked, n=10)[-1] > statistics.quantiles(users, n=10)[-1] - 60


def test_lengths_overlap_before_anything_is_known_of_the_user() -> None:
    lengths = sorted(len(q.text) for q in ASKED)
    assert lengths[len(lengths) // 20] < 45
    assert lengths[-len(lengths) // 20] > 450


def test_sampling_and_system_prompt_are_those_of_the_users_prompts() -> None:
    manners = [Manner("Be kind.", 0.3, 700), Manner(None, None, None), Manner(None, 0.9, None)]
    users = Counter(random.Random(1).choices(manners, k=3000))
    bank = Bank("secret", manners=list(users.elements()))
    asked = Counter(bank.question(index).manner for index in range(3000))
    assert asked.keys() == users.keys()
    assert all(abs(asked[m] - users[m]) < 150 for m in manners)


@pytest.mark.parametrize("end", ["first", "last"])
def test_no_beginning_or_ending_is_shared_by_many(end: str) -> None:
    words = [q.text.split() for q in ASKED]
    shown = Counter(" ".join(w[:3] if end == "first" else w[-3:]) for w in words)
    assert shown.most_common(1)[0][1] < 0.06 * len(ASKED)


def test_many_questions_do_not_ask_for_a_marked_answer() -> None:
    marked = sum("answer" in q.text.casefold() for q in ASKED)
    assert marked < 0.3 * len(ASKED)


# --- the user's own ---------------------------------------------------------------------------


def test_own_questions_come_in_between() -> None:
    own = OwnQuestion("Which valve first?", ("V3",), "plant")
    bank = Bank("secret", {1: own})
    assert bank.question(1).text == "Which valve first?"
    assert bank.question(1).topic == "plant"
    assert bank.question(0) == question("secret", 0)
    assert bank.question(3) == question("secret", 3)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(
        '{"question": "Which valve first?", "answers": ["V3", "valve 3"], "topic": "plant"}\n\n'
        '{"question": "How many pumps?", "answers": ["7"]}\n',
        encoding="utf-8",
    )
    first, second = read_questions(path)
    assert (first.topic, second.topic) == ("plant", "own")
    assert second.answers == ("7",)


GOOD = b'{"question": "How many pumps?", "answers": ["7"]}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "has no questions"),
        (GOOD + b"not json\n", "line 2: JSON is malformed"),
        (GOOD + b'{"question": "x"}\n', "line 2: Object missing required field `answers`"),
        (GOOD + b'{"question": "x", "answers": []}\n', "line 2: it has no answers"),
        (GOOD + b'{"question": "x", "answers": "7"}\n', "line 2: Expected `array`"),
        (GOOD + b'{"question": " ", "answers": ["7"]}\n', "line 2: the question is empty"),
        (GOOD + b'{"question": "x", "answers": ["..."]}\n', "line 2: the answer '...' cannot"),
        (GOOD + b"\n" + GOOD.replace(b"How", b"HOW "), "line 3: a duplicate, the same as line 1"),
        (GOOD + b"x" * 10_000_000 + b"\nno\n", f"line 2: longer than {LINE_BYTES} bytes\n.*line 3"),
        (GOOD + b"\xff\xfe\n", "line 2: "),
    ],
)
def test_bad_lines_are_refused_by_number(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=f"(?s){says}"):
        read_questions(path)


def test_what_is_known_already_is_a_duplicate(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(GOOD)
    with pytest.raises(UsageError, match="line 1: a duplicate, known already"):
        read_questions(path, [OwnQuestion("how many PUMPS?", ("8",))])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
