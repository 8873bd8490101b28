"""How kernels are compiled, and where what was compiled is kept."""

import hashlib
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config, njit

from dmoa.errors import UsageError
from dmoa.folders import cache_folder

Function = Callable[..., Any]

_MOST_KEPT = 8  # versions of the code whose compiled form stays on the disk


def kept(function: Function, **options: Any) -> Function:
    """Compile a function; the result is kept in the cache of dmoa, so that it is compiled once.

    Raises:
        UsageError: that cannot be written.
    """
    before = config.CACHE_DIR  # type: ignore[attr-defined]
    config.CACHE_DIR = str(_folder())  # type: ignore[attr-defined]
    compile_with: Callable[[Function], Function] = njit(cache=True, **options)
    try:
        return compile_with(function)
    except RuntimeError as error:
        raise UsageError(
            f"compiled code can be kept nowhere: {_folder()} cannot be written; set DMOA_CACHE to"
            " a folder that can"
        ) from error
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function that neither makes nor keeps an array; the result is kept.

    `_nrt=False` spares counting references to every array of every tuple at every call, which
    took ten times as long as the work of the event kernel and a quarter of the plain one's.
    Numba does not document it, but refuses to compile a function that would need the counts.
    """
    return lambda function: kept(function, _nrt=False, **options)


def internal(function: Function) -> Function:
    """The same for a function that only compiled code calls: half the time to compile."""
    return kept(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@cache
def _version() -> str:
    """A digest of all the code that is compiled.

    Numba knows when a function's own file changes, but not when one that it calls does. So the
    folder of what was compiled is named by all of it.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    simulation = package / "simulation"
    folders = (package / "policies", simulation / "events", simulation / "fcfs")
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    for file in (*files, simulation / "random_numbers.py", Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _folder() -> Path:
    """Where this version of the code keeps what was compiled; the oldest versions go."""
    folder = cache_folder() / "numba" / _version()
    if not folder.is_dir() and folder.parent.is_dir():
        versions = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in versions[: -_MOST_KEPT + 1]:
            shutil.rmtree(old, ignore_errors=True)
    return folder
