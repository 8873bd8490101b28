"""Marks are true: a test that uses a real LLM, or starts `dmoa`, says so or fails.

Watched at the two doors: the constructor of llama.cpp, and Python's audit event of a new process.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NoReturn

import pytest

_current: pytest.Item | None = None
_watching = False


class WrongMark(Exception):
    """A test does what its marks do not say."""


@contextmanager
def watched(test: pytest.Item) -> Generator[None, None, None]:
    """Hold a test, its fixtures included, to its marks."""
    global _current, _watching
    if not _watching:
        sys.addaudithook(_watch)  # cannot be taken away again, so there is one for all tests
        _watching = True
    _current = test
    try:
        with pytest.MonkeyPatch.context() as patch:
            if not test.get_closest_marker("real"):
                _close_the_door_to_llms(patch)
            yield
    finally:
        _current = None


def _close_the_door_to_llms(patch: pytest.MonkeyPatch) -> None:
    try:
        import xllamacpp
    except ImportError:
        return  # nothing runs one here

    def refuse(*_: object) -> NoReturn:
        raise WrongMark("this test runs a real LLM; mark it: @pytest.mark.real")

    patch.setattr(xllamacpp, "Server", refuse)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "subprocess.Popen" or _current is None:
        return
    missing = needed_marks(arguments[1]) - {mark.name for mark in _current.iter_markers()}
    if missing:
        wanted = " ".join(f"@pytest.mark.{name}" for name in sorted(missing))
        raise WrongMark(f"this test starts {' '.join(arguments[1])[:200]!r}; mark it: {wanted}")


def needed_marks(command: list[Any]) -> set[str]:
    """The marks of a test that starts a command."""
    words = [str(word) for word in command]
    if ("-m", "dmoa") not in pairwise(words):
        return set()
    demo = "demo" in words and "--llm" not in words
    real = demo or any(word == "smollm2" or word.startswith("pocket:") for word in words)
    return {"processes", "real"} if real else {"processes"}
