"""What clients of other people leave open is collected in the test that they ran in."""

import gc
import warnings
from collections.abc import Generator

import pytest


@pytest.fixture(autouse=True)
def collected() -> Generator[None]:
    """Sockets that a client does not close would else be found in another test, as its fault."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
