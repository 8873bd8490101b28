"""Win rates from preferences: the plain one with its standard error, and length-controlled.

The length-controlled rate is the official one, computed by the `alpaca-eval` package (the
extra `eval`): it asks what the judge would prefer if both outputs were equally long. It
needs a table of the prompts' difficulty, which that package fetches from a hub.
"""

import contextlib
import importlib
import io
import math
import statistics
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmoa.errors import DmoaError, UsageError
from dmoa.llm.annotations import Annotation

TABLE_COLUMNS = (
    "index",
    "model",
    "preference",
    "std_delta_len",
    "instruction_difficulty",
    "not_gamed_baseline",
)
"""What alpaca-eval's `df_gamed.csv` has at least."""


@dataclass(frozen=True)
class Score:
    """A win rate over n judged prompts.

    Attributes:
        win_rate: 100 times the mean of (preference - 1), in percent; None without prompts.
        standard_error: its standard error sd/sqrt(n) (ddof 1), in percent; None below two.
        n: judged prompts.
    """

    win_rate: float | None
    standard_error: float | None
    n: int


class NoLengthControl(DmoaError):
    """The length-controlled win rate cannot be computed here; the message says why."""


def win_rate(preferences: Iterable[float | None]) -> Score:
    """Win rate of preferences (1 to 2, 0 for a draw); None are left out."""
    wins = [(1.5 if p == 0 else p) - 1 for p in preferences if p is not None]
    n = len(wins)
    return Score(
        win_rate=100 * statistics.fmean(wins) if n else None,
        standard_error=100 * statistics.stdev(wins) / math.sqrt(n) if n > 1 else None,
        n=n,
    )


def length_controlled_win_rate(
    annotations: Sequence[Annotation], gamed: Path | None = None
) -> float:
    """The official length-controlled win rate (`length_controlled_v1`).

    Args:
        annotations: all prompts of the benchmark, in its order, with the baseline's outputs.
        gamed: the table `df_gamed.csv` of the hub's dataset tatsu-lab/alpaca_eval; None to
            let the package fetch it.

    Returns:
        Percent, 0 to 100.

    Raises:
        NoLengthControl: the package is not installed, the table is not to be had, or the
            annotations lack what it needs.
        UsageError: `gamed` is not such a table.
    """
    if any(a.baseline_output is None for a in annotations):
        raise NoLengthControl(
            "the file has no outputs of the baseline to compare lengths with; give --baseline FILE"
        )
    if all(a.preference is None for a in annotations):
        raise NoLengthControl("no prompt is judged")
    try:
        with _quiet():
            pandas = importlib.import_module("pandas")
            glm = importlib.import_module("alpaca_eval.metrics.glm_winrate")
    except ImportError as error:
        raise NoLengthControl(
            f"the alpaca-eval package does not load ({error}); pip install 'dmoa[eval]'"
        ) from error

    frame = pandas.DataFrame(
        {
            "output_1": [a.baseline_output for a in annotations],
            "output_2": [a.output for a in annotations],
            "generator_1": [a.baseline or "baseline" for a in annotations],
            "generator_2": [a.generator or "model" for a in annotations],
            "preference": [a.preference for a in annotations],
        }
    )
    if gamed is not None:
        _check_table(pandas, gamed, len(annotations))
    with _table_from(glm, gamed), _quiet():
        try:
            # save_weights_dir: else the package writes into its own folder.
            metrics = glm.get_length_controlled_winrate(frame, save_weights_dir=None)
        except OSError as error:  # the hub's errors are OSErrors
            raise NoLengthControl(
                f"the hub's table could not be fetched ({type(error).__name__});"
                " download df_gamed.csv of the dataset tatsu-lab/alpaca_eval and give it"
                " as --gamed FILE"
            ) from error
        except KeyError as error:
            raise NoLengthControl(
                f"the table has no prompt {error}: it is for the benchmark's own prompts, in order"
            ) from error
    return float(metrics["length_controlled_winrate"])


def _check_table(pandas: Any, gamed: Path, prompts: int) -> None:
    try:
        table = pandas.read_csv(gamed)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise UsageError(f"cannot read {gamed}: {error}") from error
    missing = sorted(set(TABLE_COLUMNS) - set(table.columns))
    if missing:
        raise UsageError(f"{gamed} lacks the columns {', '.join(missing)} of df_gamed.csv")
    if (known := table["index"].nunique()) != prompts:
        raise UsageError(f"{gamed} is a table of {known} prompts, the annotations have {prompts}")


@contextlib.contextmanager
def _table_from(glm: Any, gamed: Path | None) -> Iterator[None]:
    """Hand the package a local table where it would fetch one: it has no argument for that."""
    if gamed is None:
        yield
        return
    fetch = glm.hf_hub_download
    glm.hf_hub_download = lambda **_: str(gamed)
    try:
        yield
    finally:
        glm.hf_hub_download = fetch


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the package's prints off stdout, which belongs to `--json`, and its warnings away."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
