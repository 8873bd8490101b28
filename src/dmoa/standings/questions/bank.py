"""The questions of one device: drawn from its secret, and its user's own among them."""

from collections.abc import Mapping, Sequence

from dmoa.standings.questions import Question, question
from dmoa.standings.questions.own import OwnQuestion
from dmoa.standings.questions.wording import USUAL, Manner


class Bank:
    """Every number is a question, and always the same one.

    Args:
        seed: private to the device.
        own: of the user, by their numbers.
        manners: system prompts and sampling of the user's latest prompts.
    """

    def __init__(
        self,
        seed: str,
        own: Mapping[int, OwnQuestion] | None = None,
        manners: Sequence[Manner] = USUAL,
    ) -> None:
        self._seed = seed
        self._own = own or {}
        self._manners = tuple(manners) or USUAL

    def question(self, index: int) -> Question:
        """One question.

        Args:
            index: which, from 0.
        """
        drawn = question(self._seed, index, self._manners)
        own = self._own.get(index)
        if own is None:
            return drawn
        return Question(index, own.topic, own.question, own.answers, drawn.manner)
