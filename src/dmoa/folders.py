"""Where dmoa keeps things: models in the user's cache, a device's identity in its state."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """What can be fetched again; `DMOA_CACHE` moves it."""
    return Path(os.environ.get("DMOA_CACHE") or platformdirs.user_cache_path("dmoa"))


def user_folder() -> Path:
    """What all devices of one user on this machine share; `DMOA_HOME` moves it."""
    return Path(os.environ.get("DMOA_HOME") or platformdirs.user_state_path("dmoa"))


def state_folder(name: str) -> Path:
    """What makes the device `name` itself: its key, and the peers that it knows."""
    return user_folder() / name
