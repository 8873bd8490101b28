"""The same experiment through real processes and their HTTP API."""

import random

import pytest

from dmoa.evaluation.arena import LiveArena
from dmoa.evaluation.grid import Row, Way, alone
from dmoa.evaluation.outcomes import inferences_of
from dmoa.protocol.conversation import Sampling


@pytest.mark.processes
async def test_processes_are_asked_like_devices_in_memory() -> None:
    arena = await LiveArena.open(
        [f"scripted:deterministic,mean=0.01,answer={name} knows" for name in "ab"]
    )
    try:
        draw = random.Random(1)
        committee = await arena.ask(1, "Who?", Way(Row(1, 1)), Sampling(seed=3), draw)
        single = await arena.ask(0, "Who?", alone(greedy=True), Sampling(temperature=0.0), draw)
    finally:
        await arena.close()
    assert (committee.text, single.text) == ("b knows", "a knows")
    numbers = {name: number for number, name in enumerate(arena.names)}
    layers = inferences_of(committee.record, numbers)
    assert [sorted(i.device for i in layer) for layer in layers] == [[0, 1], [1]]
    assert {i.text for i in layers[0]} == {"a knows", "b knows"}
    assert all(i.service_seconds > 0 for layer in layers for i in layer)
    assert inferences_of(single.record, numbers)[-1][0].device == 0
