"""Nothing of the user's reaches a test, and nothing of a test outlives it.

No settings and no keys reach it; models come from the cache. Its marks are held to be true, and
a process that it leaves behind is ended and makes it fail.
"""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests import leftovers, marks

# Machines are shared: no test measures time, and every run draws the same examples.
settings.register_profile("dmoa", deadline=None, derandomize=True)
settings.load_profile("dmoa")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold each test to its marks."""
    with marks.watched(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """After all its fixtures, a test has no process left."""
    try:
        yield
    finally:
        if item.get_closest_marker("processes"):
            _assert_nothing_runs("this test")


@pytest.fixture(scope="session", autouse=True)
def _no_process_is_left() -> Generator[None, None, None]:
    leftovers.own_processes()
    yield
    _assert_nothing_runs("the tests")


def _assert_nothing_runs(who: str) -> None:
    ended = leftovers.end(leftovers.left_behind())
    assert not ended, f"{who} left processes behind, which have been ended: {ended}"


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in [n for n in os.environ if n.startswith("DMOA_") and n != "DMOA_CACHE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DMOA_CONFIG", os.devnull)
    monkeypatch.setenv("DMOA_EXAMS", "false")  # processes are counted and timed; see test_exam.py
    monkeypatch.setenv("DMOA_HOME", str(tmp_path_factory.getbasetemp() / "home"))


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of asynchronous tests."""
    return "asyncio"
