"""The bound on quality: closed forms, limits of Theorem 1 and of free choice, monotony."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa.errors import UsageError
from dmoa.theory.fluid import Plan, equal_fluid_quality, fluid_quality
from dmoa.theory.selection import rate_limit_selected
from dmoa.theory.stability import rate_limit

POCKET = [
    Plan(0.873, 2, 3), Plan(0.843, 1, 3), Plan(0.772, 1, 2), Plan(0.671, 1, 1), Plan(0.532),
]  # fmt: skip
SKILLS = [0.783] * 2 + [0.362] * 3 + [0.171] * 3
UNEVEN = [3.0] * 2 + [1.0] * 3 + [0.3] * 3


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (0.1, 0.873),
        (0.2, 0.843),
        (0.3, 0.719),
        (0.5, 0.612),
        (0.8, 0.552),
        (1.2, 0.443),
        (2, 0.266),
    ],
)
def test_equal_devices_give_the_figures_of_the_design(load, wanted):
    assert equal_fluid_quality(load, POCKET) == pytest.approx(wanted, abs=6e-4)
    assert fluid_quality([1.0] * 8, [load] * 8, POCKET) == pytest.approx(
        equal_fluid_quality(load, POCKET), abs=1e-9
    )


@pytest.mark.parametrize(
    ("rate", "wanted"), [(0.05, 0.783), (0.1, 0.713), (0.2, 0.537), (0.4, 0.450), (0.8, 0.324)]
)
def test_unequal_devices_that_answer_alone_give_the_figures_of_the_design(rate, wanted):
    plans = [Plan(skill, device=d) for d, skill in enumerate(SKILLS)]
    assert fluid_quality(UNEVEN, [rate] * 8, plans) == pytest.approx(wanted, abs=6e-4)


@given(st.floats(0.01, 5), st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_closed_form_and_programme_agree(load, devices):
    plans = [p for p in POCKET if p.proposers < devices]
    found = fluid_quality([2.0] * devices, [load / 2] * devices, plans)
    assert found == pytest.approx(equal_fluid_quality(load, plans), abs=1e-8)


@pytest.mark.parametrize(("M", "k"), [(0, 0), (1, 1), (1, 3), (2, 3)])
def test_theorem_1_is_the_case_of_one_plan(M, k):
    """All prompts get the plan just below the limit of Theorem 1, and not above it."""
    limit = rate_limit([1.0] * 6, M, k)
    for share, answered in ((0.999, 1.0), (1.25, 0.8)):
        found = fluid_quality([1.0] * 6, [share * limit] * 6, [Plan(1.0, M, k)])
        assert found == pytest.approx(answered)


@pytest.mark.parametrize("alphas", [[1.0, 1, 1, 4], [1.0, 2, 3, 4, 5], [0.2, 0.2, 3.0, 3.0, 1.0]])
def test_free_choice_of_proposers_is_the_case_of_one_plan(alphas):
    """The largest rate at which nobody need be refused is that of `theory.selection`."""
    n = len(alphas)
    limit = rate_limit_selected(alphas, 2, 1, n - 1, [1.0] * n)
    plan = [Plan(1.0, 2, 1)]
    assert fluid_quality(alphas, [0.999 * limit] * n, plan) == pytest.approx(1.0)
    assert fluid_quality(alphas, [1.02 * limit] * n, plan) < 0.9999


def test_many_kinds_of_devices_still_give_a_bound_close_above():
    alphas = [1.0 + 0.02 * d for d in range(30)]
    rates = [0.1] * 30
    apart = fluid_quality(alphas[:24], rates[:24], POCKET)
    pooled = fluid_quality(alphas, rates, POCKET)
    assert 0.9 * apart < pooled <= apart + 1e-9  # slower devices were added


def test_more_slots_are_more_devices():
    two = fluid_quality([1.0] * 4, [0.4] * 4, POCKET, [2] * 4)
    assert two == pytest.approx(equal_fluid_quality(0.2, POCKET))


@pytest.mark.parametrize("quality", [-0.1, 1.1, float("nan")])
def test_a_quality_outside_0_to_1_is_an_error(quality):
    with pytest.raises(UsageError, match="use 0 to 1"):
        Plan(quality)


def test_plans_that_no_device_can_carry_are_errors():
    with pytest.raises(UsageError, match="does not fit"):
        fluid_quality([1.0] * 3, [0.1] * 3, [Plan(0.5, 1, 3)])
    with pytest.raises(UsageError, match="does not fit"):
        fluid_quality([1.0] * 3, [0.1] * 3, [Plan(0.5, device=3)])
