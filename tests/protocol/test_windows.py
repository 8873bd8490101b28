"""A prompt that is longer than every window."""

import pytest

from dmoa.errors import ContextExceeded
from dmoa.protocol.conversation import Message
from tests.cluster import Cluster
from tests.virtual import run_virtual


def test_the_error_names_the_largest_window() -> None:
    async def work() -> None:
        async with Cluster(3, context_lengths={0: 300, 1: 400, 2: 200}) as cluster:
            with pytest.raises(ContextExceeded, match="400 tokens of the LLM's context window"):
                await cluster.ask(0, 0, 0, messages=[Message(role="user", content="word " * 4000)])

    run_virtual(work())
