"""The responses that are kept, so that the next request can go on from one: in memory, bounded."""

from collections import OrderedDict
from collections.abc import Collection

import msgspec

from dmoa.api.errors import ApiError
from dmoa.api.openai_responses.items import Item
from dmoa.api.openai_responses.objects import ResponseObject
from dmoa.api.openai_responses.output import output_items
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import Message


class Kept(msgspec.Struct, frozen=True):
    """A response, and the conversation up to its end, without instructions.

    Attributes:
        items: what it was an answer to, item by item, those of responses before it too.
        messages: the same and the answer, as devices read it.
    """

    response: ResponseObject
    items: list[Item]
    messages: list[Message]


class ResponseMemory:
    """The last responses; the oldest ones go when there is no room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._sizes: dict[str, int] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)

    def __contains__(self, name: str) -> bool:
        """Whether a response is there."""
        return name in self._kept

    @property
    def size(self) -> int:
        """Bytes of all of them, about."""
        return sum(self._sizes.values())

    def keep(self, kept: Kept) -> None:
        """Keep a response."""
        name = kept.response.id
        said = 2 * sum(message.size() for message in kept.messages)  # as items, too
        self._kept[name] = kept
        self._sizes[name] = said + len(msgspec.json.encode(kept.response))
        while len(self._kept) > LIMITS.responses or self.size > LIMITS.responses_bytes:
            self.forget(next(iter(self._kept)))

    def get(self, name: str) -> Kept:
        """A response by its id.

        Raises:
            ApiError: it is not there.
        """
        if name not in self._kept:
            raise ApiError(
                404,
                f"response {name[:100]!r} is none of the last ones that are kept here; send the"
                " whole conversation as input",
                code="response_not_found",
            )
        return self._kept[name]

    def items(self, names: Collection[str]) -> dict[str, Item]:
        """The items of these ids that came in or went out with a kept response."""
        found: dict[str, Item] = {}
        for kept in self._kept.values() if names else ():
            for item in (*kept.items, *output_items(kept.response)):
                if item["id"] in names:
                    found[item["id"]] = item
        return found

    def forget(self, name: str) -> None:
        """Keep a response no longer.

        Raises:
            ApiError: it is not there.
        """
        self.get(name)
        del self._kept[name], self._sizes[name]
