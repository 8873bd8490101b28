"""The Beta distribution against SciPy, and against what is known exactly."""

import pytest

from dmoa.standings import beta

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("a", [0.3, 1.0, 2.5, 40.0, 300.0])
@pytest.mark.parametrize("b", [0.3, 1.0, 7.0, 120.0])
def test_it_agrees_with_scipy(a: float, b: float) -> None:
    for x in (0.001, 0.1, 0.37, 0.5, 0.9, 0.999):
        assert beta.cdf(x, a, b) == pytest.approx(scipy_stats.beta.cdf(x, a, b), abs=1e-11)
    for p in (0.025, 0.5, 0.975):
        assert beta.quantile(p, a, b) == pytest.approx(scipy_stats.beta.ppf(p, a, b), abs=1e-8)


def test_the_ends_are_certain() -> None:
    assert (beta.cdf(0.0, 2, 3), beta.cdf(1.0, 2, 3)) == (0.0, 1.0)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"Beta\(0, 1\)"):
        beta.cdf(0.5, 0, 1)
    with pytest.raises(ValueError, match=r"1\.5 is no probability"):
        beta.quantile(1.5, 1, 1)
