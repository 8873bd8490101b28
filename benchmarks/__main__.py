"""List or run the benchmarks: `python -m benchmarks [--list] [NAME ...]`.

Every module of this folder whose name has no underscore in front is a benchmark; it has a
`main()` that prints what it does and, as its last line, one JSON object. All are run, one
process each, when no name is given.
"""

import argparse
import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks of this folder, in order."""
    found = (module.name for module in pkgutil.iter_modules([str(HERE)]))
    return sorted(name for name in found if not name.startswith("_"))


def purpose(name: str) -> str:
    """The first line of a benchmark's docstring."""
    text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")))
    return (text or "").partition("\n")[0]


def main() -> int:
    """Run what the command line asks for; the exit status counts those that failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to run; all by default")
    parser.add_argument("--list", action="store_true", help="list them and stop")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names())
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    failed = 0
    for name in arguments.names or names():
        print(f"{name}: {purpose(name)}", flush=True)
        if not arguments.list:
            done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
            failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
