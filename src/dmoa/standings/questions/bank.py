"""The questions of one device: drawn from its secret, and its user's own among them."""

from collections.abc import Sequence

from dmoa.standings.questions import Question, question
from dmoa.standings.questions.own import OwnQuestion
from dmoa.standings.questions.wording import USUAL, Manner


class Bank:
    """Every number is a question; the same one as long as the user's own stay the same.

    Every second question is one of the user's own, as long as there are any that were not asked:
    they are most like what the user will want to know.

    Args:
        seed: private to the device.
        own: of the user.
        manners: system prompts and sampling of the user's latest prompts.
    """

    def __init__(
        self, seed: str, own: Sequence[OwnQuestion] = (), manners: Sequence[Manner] = USUAL
    ) -> None:
        self._seed = seed
        self._own = tuple(own)
        self._manners = tuple(manners) or USUAL

    def question(self, index: int) -> Question:
        """One question.

        Args:
            index: which, from 0.
        """
        drawn = question(self._seed, index, self._manners)
        place, odd = divmod(index, 2)
        if not odd or place >= len(self._own):
            return drawn
        own = self._own[place]
        return Question(index, own.topic, own.question, own.answers, drawn.manner)
