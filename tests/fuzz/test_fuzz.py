"""A short hunt with the same examples each time; `make fuzz` is the long one."""

import pytest

from tests.fuzz.requests import hunt_requests
from tests.fuzz.streams import hunt_streams

pytestmark = pytest.mark.slow


async def test_generated_requests_are_answered_or_refused() -> None:
    await hunt_requests(examples=150, first_seed=1)


async def test_whatever_a_server_streams_an_answer_or_an_error_comes_of_it() -> None:
    await hunt_streams(examples=150, first_seed=1)
