"""Nothing of the user's reaches a test: no settings, no keys; models come from the cache."""

import os

import pytest
from hypothesis import settings

# Machines are shared: no test measures time, and every run draws the same examples.
settings.register_profile("dmoa", deadline=None, derandomize=True)
settings.load_profile("dmoa")


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in [n for n in os.environ if n.startswith("DMOA_") and n != "DMOA_CACHE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DMOA_CONFIG", os.devnull)
    monkeypatch.setenv("DMOA_HOME", str(tmp_path_factory.getbasetemp() / "home"))


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of asynchronous tests."""
    return "asyncio"
