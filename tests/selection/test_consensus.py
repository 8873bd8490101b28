"""Agreement, consensus, vote and early stop."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.selection.agreement import cosine, similarities, vectors, words
from dmoa.selection.consensus import agree, normalised, select, support, vote

texts = st.text("abc .,1\n", max_size=20)
drafts = st.lists(texts, min_size=1, max_size=6)

PARIS = "The capital of France is Paris, on the river Seine."
PARIS_TOO = "Paris is the capital of France; the river Seine runs through it."
LYON = "Lyon has been the seat of government since the nineteenth century."


def test_words_keep_numbers_whole() -> None:
    assert words("It's 3.14, or 1,000.50!") == ["it", "s", "3.14", "or", "1,000.50"]


def test_a_worked_example_of_cosine() -> None:
    # idf of a shared word: ln(3/3) + 1 = 1; of a word of one document: ln(3/2) + 1
    own = 1.4054651081081644
    a, b = vectors([["x", "y"], ["x", "z"]])
    assert cosine(a, b) == pytest.approx(1 / (1 + own**2))
    assert vectors([[]]) == [{}]


@given(drafts)
def test_similarities_are_symmetric_within_0_and_1_and_1_for_oneself(drafts: list[str]) -> None:
    matrix = similarities(drafts)
    for i, j in itertools.product(range(len(drafts)), repeat=2):
        assert matrix[i][j] == matrix[j][i]
        assert 0 <= matrix[i][j] <= 1
    assert all(matrix[i][i] == 1 for i in range(len(drafts)))


@given(texts)
def test_equal_drafts_with_words_are_fully_similar(text: str) -> None:
    assert similarities([text, text])[0][1] == pytest.approx(1.0 if words(text) else 0.0)


def test_the_medoid_is_what_two_of_three_say() -> None:
    assert select([LYON, PARIS, PARIS_TOO]) in {1, 2}
    assert support([LYON, PARIS, PARIS_TOO])[0] == min(support([LYON, PARIS, PARIS_TOO]))


def test_ties_go_to_the_first_and_empty_drafts_come_last() -> None:
    assert select([PARIS, PARIS, PARIS]) == 0
    assert select(["", " ", LYON]) == 2
    assert select([""]) == 0


@given(drafts, st.randoms())
def test_a_medoid_is_as_supported_wherever_it_stands(drafts: list[str], rng: object) -> None:
    order = list(range(len(drafts)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    moved = [drafts[i] for i in order]
    before, after = support(drafts)[select(drafts)], support(moved)[select(moved)]
    assert after == pytest.approx(before)


@pytest.mark.parametrize("choose", [select, vote])
def test_no_draft_is_an_error(choose: object) -> None:
    with pytest.raises(ValueError, match="no draft"):
        choose([])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ("The answer is **Paris**.", "paris"),
        ("  paris ", "paris"),
        ("It's an apple!", "apple"),
        ("Answer: 1,000", "1000"),
        ("1,000,000.50", "1000000.50"),
        ("1,2", "1,2"),
        ("-3", "-3"),
        ("C++", "c++"),
        ("the", "the"),
        ("...", ""),
    ],
)
def test_normalised(answer: str, meaning: str) -> None:
    assert normalised(answer) == meaning


@given(texts)
def test_normalising_twice_changes_no_vote(text: str) -> None:
    assert vote([text, normalised(text)]) == 0


def test_the_most_frequent_answer_wins_and_the_first_of_a_tie() -> None:
    assert vote(["Rome", "paris.", "The answer is Paris"]) == 1
    assert vote(["Rome", "Paris"]) == 0
    assert vote(["", "", "Paris"]) == 2
    assert vote(["-3", "3", "3."]) == 1


def test_a_layer_agrees_when_enough_drafts_say_what_its_medoid_says() -> None:
    assert agree(["Paris.", "the answer is Paris"])
    assert agree([PARIS, PARIS_TOO, LYON], threshold=0.3, quorum=0.6)
    assert not agree([PARIS, PARIS_TOO, LYON], threshold=0.3)
    assert not agree([PARIS, LYON])


def test_one_draft_alone_or_an_empty_one_never_agrees() -> None:
    assert not agree([PARIS])
    assert not agree([])
    assert not agree(["", ""])
    assert not agree([PARIS, ""], quorum=0.5)
