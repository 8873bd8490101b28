"""Distributed mixture-of-agents inference on edge devices (arXiv 2412.21200).

The same verbs as the command's, for programs and notebooks. They load on first use, so
that `import dmoa` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmoa.client import Completion, ask, ask_async
    from dmoa.simulation.planner import plan
    from dmoa.simulation.published.replay import replay
    from dmoa.simulation.study import simulate

__version__ = "0.2.0"

# verb -> module that defines it
_VERBS = {
    "plan": "dmoa.simulation.planner",
    "replay": "dmoa.simulation.published.replay",
    "simulate": "dmoa.simulation.study",
    "Completion": "dmoa.client",
    "ask": "dmoa.client",
    "ask_async": "dmoa.client",
}

__all__ = ["Completion", "__version__", "ask", "ask_async", "plan", "replay", "simulate"]


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return getattr(importlib.import_module(_VERBS[name]), name)
    raise AttributeError(f"module 'dmoa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_VERBS])
