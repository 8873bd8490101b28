"""How kernels are compiled."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function that neither makes nor keeps an array; the result is cached on disk.

    `_nrt=False` spares counting references to every array of every tuple at every call, which
    took ten times as long as the work of the detailed kernel and a quarter of the plain one's.
    Numba does not document it, but refuses to compile a function that would need the counts.

    The cache of a kernel knows its own file only: after a change of a policy that it calls, touch
    the kernel's file, or what runs is the old policy.
    """
    return njit(cache=True, _nrt=False, **options)  # type: ignore[call-overload, no-any-return]
