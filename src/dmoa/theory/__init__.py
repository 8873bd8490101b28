"""What a network can afford, by formula: stability, growth, latency, memory."""

from dmoa.theory.early_stop import (
    load_early_answer,
    load_early_selected,
    load_early_stop,
    load_selected,
    mean_layers,
)
from dmoa.theory.growth import device_growth, equal_growth, growth_per_second
from dmoa.theory.latency import Prediction, predict
from dmoa.theory.memory import queue_bytes, task_bytes
from dmoa.theory.network import Lengths, QueueingNetwork, equal_network, tasks_per_prompt
from dmoa.theory.selection import rate_limit_selected
from dmoa.theory.stability import (
    device_loads,
    is_stable,
    load,
    network_load,
    network_rate_limit,
    rate_limit,
    task_rates,
)

__all__ = [
    "Lengths",
    "Prediction",
    "QueueingNetwork",
    "device_growth",
    "device_loads",
    "equal_growth",
    "equal_network",
    "growth_per_second",
    "is_stable",
    "load",
    "load_early_answer",
    "load_early_selected",
    "load_early_stop",
    "load_selected",
    "mean_layers",
    "network_load",
    "network_rate_limit",
    "predict",
    "queue_bytes",
    "rate_limit",
    "rate_limit_selected",
    "task_bytes",
    "task_rates",
    "tasks_per_prompt",
]
