"""Every error that dmoa raises on purpose.

    DmoaError                   exit status 1; something failed while running
    ├── UsageError              exit status 2; a flag, a setting or a file is wrong
    │   ├── BadScenario         a scenario file or its values make no sense
    │   ├── BadTrace            a trace to replay is not of the published form
    │   └── NoCluster           the cluster that a sweep was sent to is not there
    ├── LLMError                this device's LLM did not do its work
    │   ├── LLMUnavailable      it cannot be reached or loaded
    │   ├── LLMBusy             it loads a model or is full, and was for too long
    │   ├── LLMStalled          it made no token for too long
    │   ├── LLMBroken           it sent nonsense, or died in the middle of its answer
    │   ├── RequestRefused      its server says that the request is wrong
    │   └── ContextExceeded     the prompt does not fit its context window
    ├── QueueFull               a bounded queue refused a task; says when to come back
    ├── DeadlinePassed          the time that a prompt or a task had is over
    ├── PeerError               another device did not do its work
    │   ├── PeerGone            it disappeared
    │   ├── PeerSilent          it is there but says nothing
    │   ├── PeerRefused         it said no, with a reason
    │   └── NotTrusted          it has not proved that it is a member
    ├── StoreFailed             what a device keeps cannot be read or written
    │   └── StoreFull           there is no room for it
    ├── MessageError            bytes from the network are no message of ours
    ├── FormMissed              an answer has not the form that it must have
    └── NobodyAnswered          no device could answer a prompt

A message names the fault, the offending value and the fix.
"""


class DmoaError(Exception):
    """Base of all errors raised on purpose."""

    exit_status = 1


class UsageError(DmoaError):
    """A flag, a setting or an input file is wrong; nothing was started."""

    exit_status = 2


class BadScenario(UsageError):
    """A scenario file, or the values of a scenario, make no sense."""


class BadTrace(UsageError):
    """A trace to replay is not of the published script's form."""


class NoCluster(UsageError):
    """The cluster that a sweep was sent to is not there."""


class LLMError(DmoaError):
    """An LLM did not do its work."""


class LLMUnavailable(LLMError):
    """An LLM cannot be reached or loaded."""


class LLMBusy(LLMError):
    """An LLM's server loads a model or has no room, and was waited for in vain."""


class LLMStalled(LLMError):
    """An LLM made no token for longer than its deadline."""


class LLMBroken(LLMError):
    """An LLM's server sent nonsense, failed inside, or ended in the middle of an answer."""


class RequestRefused(LLMError):
    """An LLM's server says that the request is wrong; any LLM like it would say so.

    Args:
        status: HTTP's, from 400 to 499.
        words: the server's own, which say what is wrong.
    """

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        self.words = words
        super().__init__(words or f"the LLM's server refuses the request with status {status}")


class ContextExceeded(LLMError):
    """A prompt does not fit the context window of an LLM.

    Args:
        needed: tokens of the prompt and the reserved answer, if known.
        window: tokens that the LLM can hold.
        words: the server's own, if one said so.
    """

    def __init__(self, needed: int | None, window: int, words: str = "") -> None:
        self.needed = needed
        self.window = window
        self.words = words
        size = "is longer than" if needed is None else f"needs {needed} tokens, more than"
        super().__init__(
            f"the prompt {size} the {window} tokens of the LLM's context window;"
            " shorten it or lower max_tokens" + (f" (its server says: {words})" if words else "")
        )


class QueueFull(DmoaError):
    """A bounded queue refused a task.

    Args:
        what: the bound that was met, for the message.
        retry_after: seconds after which there should be room.
    """

    def __init__(self, what: str, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"{what}; try again in {max(1.0, retry_after):.0f} s")


class DeadlinePassed(DmoaError):
    """The time that a prompt or a task had is over."""


class PeerError(DmoaError):
    """Another device did not do its work."""


class PeerGone(PeerError):
    """A peer disappeared in the middle of a request, or was not there."""


class PeerSilent(PeerError):
    """A peer is there but has said nothing for too long."""


class PeerRefused(PeerError):
    """A peer said no.

    Args:
        reason: one of the reasons of `network.messages.Refused`.
        detail: the peer's own words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


class NotTrusted(PeerError):
    """What a device shows does not prove that it is a member of the network."""


class StoreFailed(DmoaError):
    """What a device keeps on its disk cannot be read or written."""


class StoreFull(StoreFailed):
    """There is no room on the disk for what a device keeps."""


class MessageError(DmoaError):
    """Bytes from the network are not a message of a version that we speak."""


class FormMissed(DmoaError):
    """An answer has not the form that it must have, also when asked for once more."""


class NobodyAnswered(DmoaError):
    """No device could answer a prompt, neither the own LLM nor any peer."""
