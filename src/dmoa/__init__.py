"""Distributed mixture-of-agents inference on edge devices (arXiv 2412.21200).

The same verbs as the command's, for programs and notebooks. They load on first use, so
that `import dmoa` is quick.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# verb -> module that defines it
_VERBS: dict[str, str] = {
    "plan": "dmoa.theory.planner",
    "replay": "dmoa.simulation.replay",
    "simulate": "dmoa.simulation.study",
}

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return getattr(importlib.import_module(_VERBS[name]), name)
    raise AttributeError(f"module 'dmoa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_VERBS])
