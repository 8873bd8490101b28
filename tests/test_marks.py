"""The tests' own guards: wrong marks are noticed, and processes found and ended."""

import os
import subprocess
import sys

import pytest

from tests import leftovers
from tests.marks import WrongMark, needed_marks

SLEEP = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
# The one in between ends at once, so that the sleeper has no parent here any more.
ORPHAN = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"


def test_starting_dmoa_needs_its_mark() -> None:
    with pytest.raises(WrongMark, match="pytest.mark.processes"):
        subprocess.run([sys.executable, "-m", "dmoa", "--version"], check=False)


@pytest.mark.parametrize(
    ("command", "marks"),
    [
        (["python", "-m", "dmoa", "up", "--llm", "scripted:deterministic"], {"processes"}),
        (["python", "-m", "dmoa", "up", "--llm", "smollm2"], {"processes", "real"}),
        (["python", "-m", "dmoa", "up", "--llm", "pocket:fern"], {"processes", "real"}),
        (["python", "-m", "dmoa", "demo"], {"processes", "real"}),
        (["python", "-m", "dmoa", "demo", "--llm", "scripted:exponential"], {"processes"}),
        (["python", "-c", "import dmoa"], set()),
    ],
)
def test_what_a_command_needs(command: list[str], marks: set[str]) -> None:
    assert needed_marks(command) == marks


def test_a_real_llm_needs_its_mark() -> None:
    xllamacpp = pytest.importorskip("xllamacpp")
    with pytest.raises(WrongMark, match="pytest.mark.real"):
        xllamacpp.Server(xllamacpp.CommonParams())


@pytest.mark.slow
def test_an_orphan_that_ignores_signals_is_found_and_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leftovers, "END_SECONDS", 0.5)
    subprocess.run([sys.executable, "-c", ORPHAN], check=True)
    (orphan,) = leftovers.left_behind()
    assert orphan.ppid() != os.getpid()
    assert str(orphan.pid) in leftovers.end([orphan])[0]
    assert leftovers.left_behind() == []
