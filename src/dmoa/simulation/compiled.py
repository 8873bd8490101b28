"""How kernels are compiled, and where what was compiled is kept."""

from collections.abc import Callable
from typing import Any

from numba import config, njit

from dmoa.errors import UsageError
from dmoa.folders import cache_folder

Function = Callable[..., Any]


def kept(function: Function, **options: Any) -> Function:
    """Compile a function; the result is kept on disk, so that it is compiled once.

    Numba keeps it beside the source or in the user's cache; where neither can be written, it
    goes to the cache of dmoa.

    Raises:
        UsageError: that cannot be written either.
    """
    try:
        return _compile(function, options)
    except RuntimeError:
        folder = cache_folder() / "numba"
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    try:
        return _compile(function, options)
    except RuntimeError as error:
        raise UsageError(
            f"compiled code can be kept nowhere: {folder} cannot be written; set DMOA_CACHE to a"
            " folder that can"
        ) from error


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function that neither makes nor keeps an array; the result is kept.

    `_nrt=False` spares counting references to every array of every tuple at every call, which
    took ten times as long as the work of the detailed kernel and a quarter of the plain one's.
    Numba does not document it, but refuses to compile a function that would need the counts.

    The cache of a kernel knows its own file only: after a change of a policy that it calls, touch
    the kernel's file, or what runs is the old policy.
    """
    return lambda function: kept(function, _nrt=False, **options)


def _compile(function: Function, options: dict[str, Any]) -> Function:
    compile_with: Callable[[Function], Function] = njit(cache=True, **options)
    return compile_with(function)
