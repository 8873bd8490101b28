"""A peer that sends anything: the same few examples each time; `make fuzz` has thousands."""

from tests.fuzz.messages import hunt_messages


async def test_whatever_a_peer_sends_is_answered_refused_or_costs_its_own_answer() -> None:
    await hunt_messages(examples=60, first_seed=1)
