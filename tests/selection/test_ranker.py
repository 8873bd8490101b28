"""Features, the ranker and what it learns of peers."""

import json
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.policies.limits import LIMITS
from dmoa.selection.features import AGREEMENT, FEATURES, MARKUP, SHAPE, describe
from dmoa.selection.peers import MEMORY, NEWCOMER, PeerQuality
from dmoa.selection.ranker import Ranker, best, ranker_from, select, shipped

texts = st.text(max_size=60)
committees = st.lists(texts, min_size=1, max_size=5)

ROMAN = "# History\n\n- **Rome** was founded in 753 BC, says Livy.\n- It grew. It grew."
ROMAN_TOO = "According to Livy, Rome was founded in 753 BC."
SORRY = "I'm sorry, but I can't help with"


def feature(name: str, drafts: list[str]) -> list[float]:
    return [row[FEATURES.index(name)] for row in describe(drafts)]


@given(committees)
def test_features_are_finite_and_have_mean_0(drafts: list[str]) -> None:
    rows = describe(drafts)
    assert [len(row) for row in rows] == [len(FEATURES)] * len(drafts)
    for column in zip(*rows, strict=True):
        assert sum(column) == pytest.approx(0, abs=1e-9)


@given(committees, st.randoms())
def test_features_belong_to_the_draft_not_to_its_place(drafts: list[str], rng: object) -> None:
    order = list(range(len(drafts)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    moved = describe([drafts[i] for i in order])
    for row, i in zip(moved, order, strict=True):
        assert row == pytest.approx(describe(drafts)[i], abs=1e-9)


def test_each_feature_tells_what_it_is_named_for() -> None:
    drafts = [ROMAN, ROMAN_TOO, SORRY]
    assert set(FEATURES) == {*AGREEMENT, *SHAPE, *MARKUP}
    for name, highest in {
        "numbers": 0,
        "refuses": 2,
        "bullets": 0,
        "headings": 0,
        "bold": 0,
        "length": 0,
    }.items():
        values = feature(name, drafts)
        assert values[highest] == max(values), name
    for name, lowest in {"similarity_mean": 2, "finished": 2, "names": 2, "covered": 2}.items():
        values = feature(name, drafts)
        assert values[lowest] == min(values), name


def test_repetition_shows() -> None:
    dull, lively = "one two three four " * 20, " ".join(f"word{i}" for i in range(80))
    assert feature("repeated", [dull, lively])[0] > 0
    assert feature("compressed", [dull, lively])[0] < 0
    assert feature("distinct_words", [dull, lively])[0] < 0


SHORTER = Ranker(alone={"length": -1.0}, trust=2.0, informed={"length": -1.0}, win_rate=10.0)


def test_scores_are_linear_in_the_features_and_the_quality() -> None:
    drafts = ["short", "a longer draft"]
    alone = SHORTER.rank(drafts)
    assert alone == SHORTER.evidence(drafts)
    assert alone[0] == -alone[1] > 0
    assert SHORTER.rank(drafts, [0.0, 0.5]) == pytest.approx([alone[0], alone[1] + 1])
    assert SHORTER.rank_informed(drafts, [0.5, 0.9])[1] == pytest.approx(alone[1] + 9)


def test_lengths_that_differ_are_errors() -> None:
    with pytest.raises(ValueError, match="3 qualities for 2 drafts"):
        SHORTER.rank(["a", "b"], [0, 0, 0])
    with pytest.raises(ValueError, match="1 peers for the evidence of 2"):
        PeerQuality().observe(["a"], [0.0, 1.0])
    with pytest.raises(ValueError, match="no draft"):
        select([], [], PeerQuality(), ranker=SHORTER)


def test_an_unknown_feature_is_an_error() -> None:
    with pytest.raises(ValueError, match="no feature is called charm"):
        ranker_from({"alone": {"charm": 1.0}, "trust": 0, "informed": {}, "win_rate": 0})


def test_an_empty_draft_is_chosen_last_whatever_its_score() -> None:
    assert best(["", "x", "y"], [9.0, 1.0, 1.0]) == 1
    assert best(["", ""], [1.0, 1.0]) == 0


def test_a_newcomer_is_average_and_a_peer_earns_its_quality() -> None:
    known = PeerQuality()
    assert known.of("ada") == 0
    for _ in range(30):
        known.observe(["ada", "bob"], [1.0, 0.0])
    assert known.of("ada") == pytest.approx(0.5 * 30 / (30 + NEWCOMER))
    assert known.of("bob") == -known.of("ada")


def test_a_peer_alone_teaches_nothing() -> None:
    known = PeerQuality()
    known.observe(["ada"], [1.0])
    assert known.standings == {}


def test_who_was_observed_longest_ago_is_forgotten_first() -> None:
    known = PeerQuality()
    known.observe(["ada", "bob"], [1.0, 0.0])
    for number in range(0, LIMITS.standings, 2):
        known.observe(["ada", f"a{number}", f"b{number}"], [1.0, 0.0, 0.0])
    assert len(known.standings) == LIMITS.standings
    assert known.of("ada") > 0.5
    assert "bob" not in known.standings
    assert f"b{LIMITS.standings - 2}" in known.standings


def test_a_peer_that_changes_is_seen_within_its_memory() -> None:
    known = PeerQuality()
    for _ in range(10 * int(MEMORY)):
        known.observe(["ada", "bob"], [1.0, 0.0])
    for _ in range(2 * int(MEMORY)):
        known.observe(["ada", "bob"], [0.0, 1.0])
    assert known.of("ada") < 0


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=5), st.floats(-5, 5))
def test_only_differences_within_a_layer_count(evidence: list[float], shift: float) -> None:
    names = [str(i) for i in range(len(evidence))]
    one, other = PeerQuality(), PeerQuality()
    one.observe(names, evidence)
    other.observe(names, [value + shift for value in evidence])
    for name in names:
        assert other.of(name) == pytest.approx(one.of(name), abs=1e-9)


def test_select_decides_before_it_learns_and_uses_what_it_learnt() -> None:
    known = PeerQuality()
    drafts = ["xx", "xxx"]
    assert select(drafts, ["ada", "bob"], known, ranker=SHORTER) == 0
    for _ in range(50):
        select(["x" * 9, "x"], ["ada", "bob"], known, ranker=SHORTER)
    assert select(drafts, ["ada", "bob"], known, ranker=SHORTER) == 1


def test_win_rates_that_are_known_count_instead_of_what_was_learnt() -> None:
    known = PeerQuality()
    assert select(["x", "xxx"], ["ada", "bob"], known, win_rates=[0.2, 0.8], ranker=SHORTER) == 1
    assert known.of("ada") > 0  # and the layer was learnt from all the same


def test_the_shipped_ranker_prefers_what_the_others_confirm_and_says_how_it_was_made() -> None:
    ranker = shipped()
    assert ranker.trust >= 0
    assert ranker.win_rate > 0
    confirmed, alone = ranker.evidence([ROMAN_TOO, ROMAN_TOO + " So it is told.", SORRY])[::2]
    assert confirmed > alone


def test_the_largest_committee_is_ranked() -> None:
    rng = random.Random(1)
    vocabulary = [f"word{i}" for i in range(500)]
    drafts = [" ".join(rng.choices(vocabulary, k=300)) for _ in range(65)]
    scores = shipped().rank(drafts, [0.0] * 65)
    assert len(scores) == 65
    assert best(drafts, scores) == scores.index(max(scores))


def test_selection_needs_no_library() -> None:
    program = (
        "import sys, dmoa.selection.ranker as r; r.shipped();"
        "print([m for m in ('numpy','sklearn','openai','zenoh','starlette') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
