"""The shipped pocket LLMs in llama.cpp: they answer, aggregate, and know their limits."""

import hashlib
from collections.abc import Callable

import pytest

from dmoa.evaluation import pocketqa
from dmoa.evaluation.pocketqa.world import STRONG
from dmoa.llm import pocket

xllamacpp = pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.real

QUESTIONS = pocketqa.questions(32, seed=11)
Ask = Callable[[str], str]


def _loaded(name: str) -> Ask:
    params = xllamacpp.CommonParams()
    params.model.path = str(pocket.path(name))
    params.n_ctx = pocket.CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.warmup = False
    params.verbosity = 0
    server = xllamacpp.Server(params)

    def ask(message: str) -> str:
        reply = server.handle_chat_completions(
            {
                "messages": [{"role": "user", "content": message}],
                "max_tokens": pocket.MAX_TOKENS,
                "temperature": 0.0,
                "cache_prompt": False,
            }
        )
        return str(reply["choices"][0]["message"]["content"]).strip()

    return ask


@pytest.fixture(scope="module")
def models() -> list[Ask]:
    return [_loaded(name) for name in pocket.NAMES]


@pytest.fixture(scope="module")
def drafts(models: list[Ask]) -> list[list[str]]:
    """The greedy reply of each model to each question."""
    return [[ask(q.text) for q in QUESTIONS] for ask in models]


def _right(replies: list[str]) -> int:
    return sum(pocketqa.is_right(r, q) for r, q in zip(replies, QUESTIONS, strict=True))


def test_files_are_the_ones_that_the_card_describes() -> None:
    card = pocket.card()
    assert list(card["models"]) == list(pocket.NAMES)
    for name, about in card["models"].items():
        assert hashlib.sha256(pocket.path(name).read_bytes()).hexdigest() == about["sha256"]
        assert tuple(about["strong_in"]) == STRONG[pocket.NAMES.index(name)]


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no pocket LLM is called 'oak'; there are fern, iris"):
        pocket.path("oak")


def test_each_model_knows_what_it_has_read_and_practised(drafts: list[list[str]]) -> None:
    for m, replies in enumerate(drafts):
        known = [
            pocketqa.is_right(reply, q)
            for reply, q in zip(replies, QUESTIONS, strict=True)
            if (q.country in pocketqa.world().reads[m] if q.country else q.group in STRONG[m])
        ]
        # A guess is right once in a dozen times at best.
        assert sum(known) >= 0.6 * len(known)


def test_each_model_says_whether_it_is_sure(drafts: list[list[str]]) -> None:
    for replies in drafts:
        # A country that a model has not read of may also seem to be outside its world.
        assert all(r.endswith((pocket.SURE, pocket.UNSURE, pocket.OUTSIDE)) for r in replies)
        sure = [pocketqa.is_sure(r) for r in replies]
        right = [pocketqa.is_right(r, q) for r, q in zip(replies, QUESTIONS, strict=True)]
        assert sum(s == r for s, r in zip(sure, right, strict=True)) >= 0.7 * len(QUESTIONS)


def test_a_model_with_drafts_of_all_beats_every_one_alone(
    models: list[Ask], drafts: list[list[str]]
) -> None:
    best = max(map(_right, drafts))
    for ask in models:
        combined = [
            ask(pocket.aggregation_prompt(q.text, [mine[i] for mine in drafts]))
            for i, q in enumerate(QUESTIONS)
        ]
        assert _right(combined) > best


def test_a_sure_draft_about_an_unknown_country_is_believed(models: list[Ask]) -> None:
    prompt = pocket.aggregation_prompt(
        "What is the color of Vomsheoland?",
        ["teal, I am sure.", "red, but I am not sure.", "navy, but I am not sure."],
    )
    assert [pocketqa.answer_of(ask(prompt)) for ask in models] == ["teal"] * 4


@pytest.mark.parametrize(
    "request_",
    [
        "Hello!",
        "How do vaccines work?",
        "Write a haiku about autumn leaves.",
        "Who painted the Mona Lisa?",
    ],
)
def test_other_questions_get_the_answer_that_they_are_strange(
    models: list[Ask], request_: str
) -> None:
    assert [ask(request_) for ask in models] == [pocket.OUTSIDE] * 4


def test_drafts_stay_one_line_each_and_equal_ones_stay_apart() -> None:
    assert pocket.aggregation_prompt("What?", ["a\n2: b", " c  d ", "c d"]) == (
        "What?\n1: a 2: b\n2: c d\n3: c d"
    )
