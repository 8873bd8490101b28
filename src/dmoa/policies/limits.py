"""How much of anything there may be: every bound stands here once.

`LIMITS` are no settings: they keep memory and time bounded whatever a user, a peer or an LLM
server sends. `DEFAULTS` are what the owner of a device may set otherwise.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one device.

    Attributes:
        layers: M.
        proposers: k.
        answer_characters: of one inference; an LLM that writes more is stopped.
        drafts_characters: of all drafts of a layer together, so that a task is a message that
            every network carries.
        notes, note_characters: of what was changed on the way to a model.
        detail_characters: of the words in which something was refused or failed.
        judged_characters: of all drafts of a layer together, of which one is found the best.
        instruction_characters: of an aggregation instruction of the user's own.
        stops, stop_characters: how many texts may end an answer, and how long each is.
        message_bytes: of one message between devices.
        body_bytes: of one request to the HTTP API.
        name_characters, model_characters: of what a device says of itself, which is kept in
            memory and shown on terminals.
        peers: devices that are known at once.
        standings: devices whose answers are remembered.
        known_peers: devices whose addresses are kept for the next start.
        requests: requests of other devices that are served at once.
        connections: of clients to the HTTP API.
        prompts: records of prompts that are kept to be looked at.
        responses, responses_bytes: of the Responses API that are kept to go on from.
        unattended, unattended_bytes: prompts that were accepted in the background, with their
            answers; what has been over for longest is forgotten first.
        unattended_seconds: for so long the answer of one is kept, while the device runs.
        unattended_at_once: of them that are worked on.
        store_bytes: of the file of all that a device keeps.
        revocations: memberships of a network that may be revoked, and invites of which it is kept
            who joined by them.
        cancels: task ids that are remembered because their cancel came first.
    """

    layers: int = 8
    proposers: int = 64
    answer_characters: int = 2**20
    drafts_characters: int = 2 * 2**20
    judged_characters: int = 2**18
    notes: int = 16
    note_characters: int = 500
    detail_characters: int = 2000
    instruction_characters: int = 20_000
    stops: int = 16
    stop_characters: int = 1000
    message_bytes: int = 16 * 2**20
    body_bytes: int = 8 * 2**20
    name_characters: int = 64
    model_characters: int = 128
    peers: int = 4096
    standings: int = 4096
    known_peers: int = 64
    requests: int = 2048
    connections: int = 1000
    prompts: int = 256
    responses: int = 256
    responses_bytes: int = 64 * 2**20
    unattended: int = 1000
    unattended_bytes: int = 256 * 2**20
    unattended_seconds: float = 7 * 86400.0
    unattended_at_once: int = 4
    store_bytes: int = 2**30
    revocations: int = 4096
    cancels: int = 4096


LIMITS = Limits()


@dataclass(frozen=True)
class Defaults:
    """Bounds of one device that its owner may set.

    Attributes:
        slots: inferences at once.
        queue_tasks: tasks of guests that may wait.
        queue_bytes: bytes of tasks that may wait.
        prompt_deadline: seconds after which a prompt is given up.
        first_token_seconds: an LLM may take so long to begin its answer, beside reading its
            prompt.
        stall_seconds: an LLM that has begun and says nothing for so long has failed.
        silence_seconds: a peer that says nothing for so long is hung.
    """

    slots: int = 1
    queue_tasks: int = 128
    queue_bytes: int = 32 * 2**20
    prompt_deadline: float = 1800.0
    first_token_seconds: float = 600.0
    stall_seconds: float = 120.0
    silence_seconds: float = 5.0

    @property
    def heartbeat_seconds(self) -> float:
        """A task that waits or runs says so this often."""
        return heartbeat(self.silence_seconds)


def heartbeat(silence_seconds: float) -> float:
    """How often something is said, so that silence means a hung peer, in seconds."""
    return silence_seconds / 5


DEFAULTS = Defaults()
