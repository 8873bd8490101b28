"""The published script's trace, replayed: its latency and queue, and the true ones.

The paper's authors record every prompt's proposers and inference times, then replay them with
first-come-first-served devices. Their latency is exact. Their queue figure is not the mean
number of waiting tasks: at each service they count the other prompts whose next layer comes
before its end and includes the device, and weight that count by the whole service, although
those prompts may have come late in it; and they divide by the finish of the prompt that was
completed last in order of handling, which need not be the last to finish.
"""

import heapq
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmoa.errors import BadTrace


@dataclass(frozen=True)
class TracedPrompt:
    """One prompt of a trace.

    Attributes:
        arrival: seconds.
        owner: device number, from 1.
        layers: for each of the M + 1 layers, the seconds of each device that works in it.
    """

    arrival: float
    owner: int
    layers: tuple[Mapping[int, float], ...]


@dataclass(frozen=True)
class Figures:
    """Mean latency of a prompt in seconds, and mean number of waiting tasks per device."""

    latency: float
    queue: float


@dataclass(frozen=True)
class Replay:
    """The figures as the published script computes them, and the true ones."""

    published: Figures
    true: Figures


def replay(trace: str | Path | Sequence[Mapping[str, Any]]) -> Replay:
    """Replay a trace with first-come-first-served devices.

    Args:
        trace: the path of a JSON file, or its content: a list of prompts in order of arrival,
            each with `arrival_time`, `user_number` and `layer1_proposers` ...
            `layerM+1_proposers`, an object with `proposer_list` (device numbers, the owner
            first) and, under each device's number, `[response, seconds]`.

    Raises:
        BadTrace: it is not of this form; names the prompt.
    """
    if isinstance(trace, str | Path):
        try:
            content = json.loads(Path(trace).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadTrace(f"{trace} cannot be read: {error}") from error
    else:
        content = trace
    return replay_prompts(parse(content))


def parse(content: Any) -> list[TracedPrompt]:
    """The prompts of a trace.

    Raises:
        BadTrace: it is not of the published form; names the prompt.
    """
    if not isinstance(content, Sequence) or isinstance(content, str) or not content:
        raise BadTrace("a trace is a list of at least one prompt")
    prompts = [_parse_prompt(number, record) for number, record in enumerate(content, 1)]
    for number in range(1, len(prompts)):
        if prompts[number].arrival < prompts[number - 1].arrival:
            raise BadTrace(f"prompt {number + 1} arrives before the one in front of it; sort them")
    return prompts


def _parse_prompt(number: int, record: Any) -> TracedPrompt:
    where = f"prompt {number}"
    if not isinstance(record, Mapping):
        raise BadTrace(f"{where} is {type(record).__name__}; use an object")
    arrival = _seconds(record.get("arrival_time"), f"arrival_time of {where}")
    owner = record.get("user_number")
    if not isinstance(owner, int) or owner < 1:
        raise BadTrace(f"user_number of {where} is {owner!r}; use a device number from 1")
    layers: list[dict[int, float]] = []
    while isinstance(layer := record.get(f"layer{len(layers) + 1}_proposers"), Mapping):
        layers.append(_parse_layer(layer, f"layer{len(layers) + 1}_proposers of {where}"))
    if not layers:
        raise BadTrace(f"{where} has no layer1_proposers")
    if list(layers[-1]) != [owner]:
        raise BadTrace(
            f"the last layer of {where} is done by {list(layers[-1])}; its owner, {owner},"
            " aggregates alone"
        )
    return TracedPrompt(arrival, owner, tuple(layers))


def _parse_layer(layer: Mapping[str, Any], where: str) -> dict[int, float]:
    devices = layer.get("proposer_list")
    if not isinstance(devices, list) or not devices:
        raise BadTrace(f"{where} has no proposer_list")
    seconds: dict[int, float] = {}
    for device in devices:
        if not isinstance(device, int) or device < 1 or device in seconds:
            raise BadTrace(f"proposer_list of {where} is {devices}; use device numbers, each once")
        entry = layer.get(str(device))
        if not isinstance(entry, list) or len(entry) != 2:
            raise BadTrace(f"{where} has no [response, seconds] of device {device}")
        seconds[device] = _seconds(entry[1], f"time of device {device} in {where}")
    return seconds


def _seconds(value: Any, what: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise BadTrace(f"{what} is {value!r}; use seconds, 0 or more")
    return float(value)


def replay_prompts(prompts: Sequence[TracedPrompt]) -> Replay:
    """Serve all layers in order of their arrival; see the module for both queue figures."""
    devices = max(max(d for layer in p.layers for d in layer) for p in prompts)
    devices = max(devices, *(p.owner for p in prompts))
    free_at = [0.0] * (devices + 1)
    finish = [0.0] * len(prompts)
    counted = waited = 0.0
    last_handled = 0.0
    # Each open prompt's next layer: when it comes, whose, which.
    coming = [(p.arrival, index, 0) for index, p in enumerate(prompts)]
    heapq.heapify(coming)
    while coming:
        time, index, layer = heapq.heappop(coming)
        end_of_layer = time
        for device, seconds in prompts[index].layers[layer].items():
            start = max(free_at[device], time)
            end = start + seconds
            free_at[device] = end
            end_of_layer = max(end_of_layer, end)
            waited += start - time
            counted += seconds * sum(
                at <= end and device in prompts[other].layers[next_layer]
                for at, other, next_layer in coming
            )
        if layer + 1 < len(prompts[index].layers):
            heapq.heappush(coming, (end_of_layer, index, layer + 1))
        else:
            finish[index] = last_handled = end_of_layer
    latency = sum(f - p.arrival for f, p in zip(finish, prompts, strict=True)) / len(prompts)

    def per_device(total: float, until: float) -> float:
        return total / devices / until if until > 0 else 0.0

    return Replay(
        published=Figures(latency, per_device(counted, last_handled)),
        true=Figures(latency, per_device(waited, max(finish))),
    )
