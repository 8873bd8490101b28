"""Random numbers for compiled code: xoshiro256++, and service times drawn from it.

Drawn inside the kernel they cost a sixth of what NumPy's generators cost from outside, and
they decide the speed of the whole simulation. Streams are seeded by NumPy's `SeedSequence`, so
replications are independent and do not depend on threads.

Sources: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2021);
Marsaglia and Tsang, "The ziggurat method for generating random variables" (2000).
"""

import math

import numpy as np
from numba import int64, njit, uint64
from numpy.typing import NDArray

from dmoa.simulation.compiled import kept

EXPONENTIAL, DETERMINISTIC, LOGNORMAL, ERLANG, RECORDED = range(5)

_TO_UNIT = 1.0 / 2**53
_TAIL = 7.69711747013104972  # where the exponential ziggurat's tail begins
_AREA = 0.0039496598225815571993  # of each of its 256 layers


def _exponential_tables() -> tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.float64]]:
    """Acceptance bounds, widths and densities of the layers, each of shape (256,)."""
    scale = 2.0**53
    bounds = np.zeros(256)
    widths, densities = np.zeros(256), np.zeros(256)
    edge = before = _TAIL
    base = _AREA / math.exp(-edge)
    bounds[0] = edge / base * scale
    widths[0], widths[255] = base / scale, edge / scale
    densities[0], densities[255] = 1.0, math.exp(-edge)
    for layer in range(254, 0, -1):
        edge = -math.log(_AREA / edge + math.exp(-edge))
        bounds[layer + 1] = edge / before * scale
        before = edge
        densities[layer] = math.exp(-edge)
        widths[layer] = edge / scale
    return bounds.astype(np.uint64), widths, densities


_BOUNDS, _WIDTHS, _DENSITIES = _exponential_tables()


def new_stream(seed: np.random.SeedSequence) -> NDArray[np.uint64]:
    """State of a stream, shape (4,)."""
    return np.asarray(seed.generate_state(4, np.uint64), np.uint64)


@njit(inline="always")
def next_bits(state):
    """64 random bits; advances the state."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    total = s0 + s3
    bits = ((total << uint64(23)) | (total >> uint64(41))) + s0
    shifted = s1 << uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << uint64(45)) | (s3 >> uint64(19))
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
    return bits


@njit(inline="always")
def uniform(state):
    """A number in [0, 1)."""
    return int64(next_bits(state) >> uint64(11)) * _TO_UNIT


@njit(inline="always")
def exponential(state):
    """An exponential variable with mean 1."""
    bits = next_bits(state) >> uint64(3)
    layer = bits & uint64(255)
    fraction = bits >> uint64(8)
    if fraction < _BOUNDS[layer]:
        return int64(fraction) * _WIDTHS[layer]
    return _exponential_at_edge(fraction, layer, state)


@kept
def _exponential_at_edge(fraction, layer, state):
    """The one draw in ninety that does not fall inside its layer's rectangle."""
    while True:
        x = int64(fraction) * _WIDTHS[layer]
        if fraction < _BOUNDS[layer]:
            return x
        if layer == 0:
            return _TAIL - math.log1p(-uniform(state))
        below = _DENSITIES[layer]
        if below + uniform(state) * (_DENSITIES[layer - uint64(1)] - below) < math.exp(-x):
            return x
        bits = next_bits(state) >> uint64(3)
        layer = bits & uint64(255)
        fraction = bits >> uint64(8)


@kept
def normal(state):
    """A standard normal variable (polar method; its second one is thrown away)."""
    while True:
        a = 2.0 * uniform(state) - 1.0
        b = 2.0 * uniform(state) - 1.0
        square = a * a + b * b
        if 0.0 < square < 1.0:
            return a * math.sqrt(-2.0 * math.log(square) / square)


@kept
def service(law, parameter, samples, state):
    """A service time in units of alpha.

    Args:
        law: one of the constants above.
        parameter: sigma of a lognormal law, or the shape of an Erlang one.
        samples: recorded times with mean 1, shape (any,).
        state: the stream.
    """
    if law == EXPONENTIAL:
        return exponential(state)
    if law == DETERMINISTIC:
        return 1.0
    if law == LOGNORMAL:
        return math.exp(parameter * (normal(state) - 0.5 * parameter))
    if law == ERLANG:
        total = 0.0
        for _ in range(int(parameter)):
            total += exponential(state)
        return total / parameter
    return samples[int(uniform(state) * len(samples))]
