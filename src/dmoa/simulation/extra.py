"""Whether what simulations need is installed."""

import importlib.util

from dmoa.errors import UsageError


def needed(extra: str = "simulation") -> None:
    """Raise UsageError unless the packages of an extra are there; loads none of them."""
    packages = ["numba", "numpy", "scipy", "matplotlib", "pyarrow"]
    if extra == "cluster":
        packages.append("distributed")
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"this needs the package {package}; run: pip install 'dmoa[{extra}]'")
