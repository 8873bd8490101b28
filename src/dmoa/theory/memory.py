"""Memory that waiting prompts take on a device.

A task waits with its text: the user's prompt and, after the first layer, the instruction and
the k + 1 responses of the layer before.
"""

from dmoa.errors import UsageError
from dmoa.theory.checks import check_not_negative
from dmoa.theory.network import tasks_per_prompt


def task_bytes(
    layers: int,
    proposers: int,
    prompt_bytes: float,
    response_bytes: float,
    instruction_bytes: float = 0.0,
) -> float:
    """Mean size of a task's text in bytes, over the C tasks of a prompt; exact by counting."""
    for name, value in (
        ("prompt_bytes", prompt_bytes),
        ("response_bytes", response_bytes),
        ("instruction_bytes", instruction_bytes),
    ):
        check_not_negative(name, value)
    if layers == 0:
        return prompt_bytes
    C = tasks_per_prompt(layers, proposers)
    longer = C - (proposers + 1)  # refining and aggregating tasks
    return prompt_bytes + longer / C * (instruction_bytes + (proposers + 1) * response_bytes)


def queue_bytes(
    queue: float,
    layers: int,
    proposers: int,
    prompt_bytes: float,
    response_bytes: float,
    instruction_bytes: float = 0.0,
) -> float:
    """Mean memory of a device's queue in bytes.

    An approximation: it takes the waiting tasks to be of the kinds in which they arrive, which
    is right when waiting does not depend on the kind (FCFS, equal task lengths).

    Args:
        queue: mean number of waiting tasks.
        layers: M.
        proposers: k.
        prompt_bytes: mean size of a user's prompt.
        response_bytes: mean size of a response.
        instruction_bytes: size of the aggregation instruction.
    """
    if not queue >= 0:
        raise UsageError(f"queue is {queue}; use 0 or more")
    return queue * task_bytes(layers, proposers, prompt_bytes, response_bytes, instruction_bytes)
