"""A vote counts equal answers, a selection looks for the draft that the others support."""

from dmoa.protocol.experience import Experience
from dmoa.selection import consensus

SUPPORTED = [
    "The sky is blue because air scatters the short waves of sunlight more than the long ones.",
    "The sky is blue because air scatters short waves of the sunlight much more than long ones.",
    "The sky looks blue because air scatters the short waves of sunlight more than long waves.",
    "The sky is blue since air scatters the short waves of sunlight more than the long waves.",
]
REPEATED = "Nobody knows why, and my grandmother always said that it reflects the colour of oceans."


def test_a_vote_and_a_selection_choose_differently() -> None:
    drafts = [*SUPPORTED, REPEATED, REPEATED]
    devices = [f"d{i}" for i in range(len(drafts))]
    assert consensus.vote(drafts) == 4
    assert Experience().learn(drafts, devices) < 4
