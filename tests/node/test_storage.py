"""What a node keeps for its next start."""

from pathlib import Path

import msgspec
import pytest

from dmoa.node.storage import storage
from dmoa.protocol.experience import Experience
from dmoa.standings.examiner import Kept

DRAFTS = ["a short draft", "another draft with many more words than that one has"]


async def test_experience_and_examinations_are_there_at_the_next_start(tmp_path: Path) -> None:
    async with storage(tmp_path, pytest.fail) as first:
        assert first.examinations is None
        for _ in range(Experience.OBSERVED):
            first.experience.learn(DRAFTS[::-1], ["d0", "d1"])
        first.save_examinations(Kept(seed="secret"))
        before = first.experience.kept()
        assert before.own_was_best
    async with storage(tmp_path, pytest.fail) as second:
        assert second.experience.kept() == before
        assert second.experience.hopeless
        assert second.examinations
        assert second.examinations.seed == "secret"


async def test_an_old_file_of_examinations_is_read_at_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "examinations.json").write_bytes(msgspec.json.encode(Kept(seed="old")))
    async with storage(tmp_path, pytest.fail) as stored:
        assert stored.examinations
        assert stored.examinations.seed == "old"
