"""The Beta distribution in plain Python: what is known of a probability after rights and wrongs.

The core installs no SciPy. The incomplete beta function is evaluated by its continued fraction
(Lentz's method; Numerical Recipes, section 6.4), quantiles by bisection.
"""

import math

_TINY = 1e-300
_STEPS = 300
_PRECISION = 1e-14


def cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b): the regularised incomplete beta function I_x(a, b).

    Raises:
        ValueError: a or b is not positive.
    """
    if a <= 0 or b <= 0:
        raise ValueError(f"Beta({a}, {b}) needs two positive parameters")
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1.0 - cdf(1 - x, b, a)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return math.exp(log_front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    c = 1.0
    d = 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return value


def _away(value: float) -> float:
    """A number that can be divided by."""
    return value if abs(value) > _TINY else _TINY


def quantile(p: float, a: float, b: float) -> float:
    """The x with P(X <= x) = p for X ~ Beta(a, b), to about 1e-9.

    Raises:
        ValueError: p is not in [0, 1], or a or b is not positive.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"{p} is no probability")
    low, high = 0.0, 1.0
    for _ in range(32):
        middle = (low + high) / 2
        if cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2
