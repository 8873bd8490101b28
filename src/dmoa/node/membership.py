"""Which network a device is in: its user's own, a private one that it has joined, or an open one.

They differ in their authority and in nothing else.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dmoa.api.status import NetworkStatus
from dmoa.errors import UsageError
from dmoa.folders import user_folder
from dmoa.network.addresses import require_loopback
from dmoa.node.identity import Identity
from dmoa.node.settings import Settings
from dmoa.trust import personal, public
from dmoa.trust.holder import Holder
from dmoa.trust.private import PrivateNetwork, has_joined

OPEN_WARNING = (
    "--open is a laboratory: the authority of its network is public, so every device that reaches"
    " this one may use its LLM and read the prompts that are sent around; use it only among"
    " machines that you trust, or make a network of your own by `dmoa network create`"
)


@dataclass(frozen=True)
class NodeNetwork:
    """The network of a device.

    Attributes:
        holder: the device's side of it.
        private: what the state folder keeps of it; None for the two others.
    """

    kind: Literal["private", "personal", "open"]
    name: str
    holder: Holder
    private: PrivateNetwork | None = None

    @property
    def leaves_machine(self) -> bool:
        """Whether its devices are on several machines."""
        return self.kind != "personal"

    @property
    def addresses(self) -> list[str]:
        """Where members were when this device was invited."""
        return [] if self.private is None else self.private.member.addresses

    def device_name(self, wanted: str) -> str:
        """What the device is called: what its invite says, where it has one."""
        return self.holder.name.name if self.holder.name else wanted

    def status(self) -> NetworkStatus:
        """What `/status` says of it."""
        return NetworkStatus(
            self.name,
            self.kind,
            self.holder.root.fingerprint,
            self.kind == "open",
            len(self.holder.register.revocations),
        )


def choose_network(settings: Settings, identity: Identity, state: Path) -> NodeNetwork:
    """The network that a device is in.

    Raises:
        UsageError: settings and state do not fit, or an address would leave this machine.
    """
    if has_joined(state):
        private = PrivateNetwork(state)
        if settings.open:
            raise UsageError(
                f"{state} is in the private network {private.member.network}, and --open is a"
                " public one: leave --open out, or give another --state"
            )
        return NodeNetwork("private", private.member.network, private.holder(identity.key), private)
    require_loopback([*settings.listen, *settings.connect], open_network=settings.open)
    if settings.open:
        return NodeNetwork("open", "open", Holder.self_made(public.authority(), identity.key))
    if settings.multicast:
        raise UsageError(
            "--multicast looks for devices of other machines; it needs a private network"
            " (`dmoa network create`) or --open"
        )
    own = personal.authority(user_folder())
    return NodeNetwork("personal", "local", Holder.self_made(own, identity.key))
