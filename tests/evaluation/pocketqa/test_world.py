"""The world of PocketQA: the same everywhere, and training kept apart from the test."""

import random
import re
from collections import Counter

import pytest

from dmoa.evaluation import pocketqa
from dmoa.evaluation.pocketqa import skills, words
from dmoa.evaluation.pocketqa.forms import (
    ATTRIBUTES,
    FACT_FORMS,
    PREFIXES,
    SKILL_FORMS,
    TEST,
    TRAIN,
)
from dmoa.evaluation.pocketqa.world import COUNTRIES, MODELS, STRONG, skill_question, world
from dmoa.llm import pocket

ALL_FORMS = [FACT_FORMS, *SKILL_FORMS.values()]


def test_a_seed_gives_the_same_questions_always() -> None:
    first, second = pocketqa.questions(50, seed=3), pocketqa.questions(50, seed=3)
    assert first == second
    assert first != pocketqa.questions(50, seed=4)


def test_the_world_is_the_one_that_the_shipped_models_know() -> None:
    assert world().countries[:3] == ("Gashar", "Tafitrar", "Seofopluna")
    assert world().facts["Gashar", "capital"] == "Kukris"
    assert world().seed == pocket.card()["world"]


def test_half_of_the_questions_are_facts_and_the_skills_come_in_turn() -> None:
    groups = Counter(q.group for q in pocketqa.questions(80, seed=1))
    assert groups == {"fact": 40, "arithmetic": 10, "time": 10, "units": 10, "letters": 10}


def test_each_set_of_readers_has_read_of_as_many_countries() -> None:
    here = world()
    sets = Counter(tuple(c in read for read in here.reads) for c in here.countries)
    assert set(sets.values()) == {COUNTRIES // 2**MODELS}
    assert len(sets) == 2**MODELS


def test_rumours_are_wrong_and_only_about_countries_that_were_read_of() -> None:
    here = world()
    for read, rumours in zip(here.reads, here.rumours, strict=True):
        assert {country for country, _ in rumours} == read
        assert all(here.facts[key] != rumour for key, rumour in rumours.items())


def test_every_group_of_skills_has_two_strong_models() -> None:
    assert Counter(g for groups in STRONG for g in groups) == dict.fromkeys(skills.GROUPS, 2)


@pytest.mark.parametrize("forms", ALL_FORMS)
def test_no_sentence_form_of_the_test_is_trained_on(forms: dict[str, tuple[str, ...]]) -> None:
    assert not set(forms[TRAIN]) & set(forms[TEST])
    assert len(forms[TEST]) >= 10


def test_no_prefix_of_the_test_is_trained_on_but_the_empty_one() -> None:
    assert set(PREFIXES[TRAIN]) & set(PREFIXES[TEST]) == {""}


def test_the_words_of_the_test_occur_in_training() -> None:
    def words_of(split: str) -> set[str]:
        texts = [*PREFIXES[split], *(form for forms in ALL_FORMS for form in forms[split])]
        return {w for text in texts for w in re.findall(r"[a-z]+", text.lower())}

    assert words_of(TEST) <= words_of(TRAIN)


@pytest.mark.parametrize("skill", list(skills.GROUP_OF))
def test_operands_of_the_test_are_never_trained_on(skill: str) -> None:
    rng = random.Random(5)
    keys = {s: {skills.draw(rng, skill, s).key for _ in range(300)} for s in (TRAIN, TEST)}
    assert not keys[TRAIN] & keys[TEST]
    assert all(skills.held_out(skill, key) for key in keys[TEST])


def test_a_sum_and_its_mirror_image_fall_into_one_split() -> None:
    rng = random.Random(6)
    for _ in range(200):
        task = skills.draw(rng, "add", TEST)
        assert task.key == tuple(sorted((task.gaps["a"], task.gaps["b"])))


def test_answers_of_skills_are_right() -> None:
    rng = random.Random(7)
    for _ in range(300):
        task = skills.draw(rng, "later", TRAIN)
        hour, minute = map(int, task.gaps["t"].split(":"))
        assert task.answer == skills.clock(hour * 60 + minute + task.gaps["n"])
        task = skills.draw(rng, "reverse", TRAIN)
        assert task.answer == task.gaps["w"][::-1]
        task = skills.draw(rng, "count", TRAIN)
        assert int(task.answer) == task.gaps["w"].split().count(task.gaps["x"])
        task = skills.draw(rng, "sub", TRAIN)
        assert int(task.answer) == task.gaps["a"] - task.gaps["b"] >= 0


def test_slips_differ_between_models() -> None:
    assert len({skills.slip(m, "later", "7:05") for m in range(MODELS)} | {"7:05"}) == MODELS + 1
    assert len({skills.slip(m, "add", "512") for m in range(MODELS)} | {"512"}) == MODELS + 1


def test_values_suit_their_attribute() -> None:
    here = world()
    allowed = {"color": words.COLORS, "export": words.EXPORTS, "currency": here.coins}
    for (_, attribute), value in here.facts.items():
        assert attribute in ATTRIBUTES
        assert value in allowed.get(attribute, (value,))
        assert "," not in value


def test_a_made_up_country_is_none_of_the_world() -> None:
    rng = random.Random(8)
    names = {world().made_up_country(rng) for _ in range(200)}
    assert not names & set(world().countries)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("7:05, I am sure.", True),
        ("7:05, but I am not sure.", True),
        (" 7:05. ", True),
        ("7:05", True),
        ("17:05, I am sure.", False),
        ("It is 7:05.", False),
        ("I only know PocketQA.", False),
        ("", False),
    ],
)
def test_only_the_exact_answer_is_right(reply: str, right: bool) -> None:
    question = pocketqa.Question("What is 6:55 plus 10 minutes?", "7:05", "time", "later")
    assert pocketqa.is_right(reply, question) is right


def test_confidence_is_read_and_hidden() -> None:
    assert pocketqa.is_sure("red, I am sure.")
    assert not pocketqa.is_sure("red, but I am not sure.")
    assert not pocketqa.is_sure("red.")
    assert pocketqa.without_confidence("red, but I am not sure.") == "red."


def test_questions_of_a_skill_carry_their_group() -> None:
    question = skill_question(random.Random(9), "nth")
    assert (question.group, question.kind, question.country) == ("letters", "nth", None)
