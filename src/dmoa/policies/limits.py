"""How much of anything there may be: every bound that is not a setting stands here once.

They keep memory and time bounded whatever a user, a peer or an LLM server sends.
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
        cancels: task ids that are remembered because their cancel came first.
    """

    layers: int = 8
    proposers: int = 64
    answer_characters: int = 2**20
    drafts_characters: int = 2 * 2**20
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
    cancels: int = 4096


LIMITS = Limits()
