"""Recorded outputs of an LLM in AlpacaEval's formats, with judgements if there are any.

The official JSON (a list of objects, outputs or annotations) and JSON lines, each plain or
gzipped; what a file is, its contents say, not its name. A judgement is a preference: 1 the
baseline's output is better for certain, 2 the model's, 0 or 1.5 a draw, null no judgement
(Dubois et al., arXiv 2404.04475; https://github.com/tatsu-lab/alpaca_eval).
"""

import gzip
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmoa.errors import UsageError
from dmoa.text import shortened

DRAW = 1.5


@dataclass(frozen=True)
class Annotation:
    """One prompt, a model's output, and how a judge compared it with the baseline's.

    Attributes:
        instruction: the prompt.
        output: the model's answer.
        generator: the model's name, "" if the file does not say.
        preference: 1 (baseline better) to 2 (model better), a draw as 1.5; None if there
            is no judgement.
        dataset: the part of AlpacaEval that the prompt comes from, "" if not said.
        baseline_output: the baseline's answer, None if the file has only the model's.
        baseline: the baseline's name, "" if not said.
    """

    instruction: str
    output: str
    generator: str = ""
    preference: float | None = None
    dataset: str = ""
    baseline_output: str | None = None
    baseline: str = ""


def read_annotations(path: Path) -> list[Annotation]:
    """Read outputs or annotations of one model.

    Args:
        path: official JSON or JSON lines, plain or gzipped.

    Returns:
        One annotation a prompt, in the file's order.

    Raises:
        UsageError: the file cannot be read, is not of these formats, has a preference that
            is none, or mixes several models.
    """
    annotations = [_annotation(row, f"{path}, row {i}") for i, row in enumerate(_rows(path), 1)]
    models = sorted({a.generator for a in annotations})
    if len(models) > 1:
        raise UsageError(
            f"{path} mixes the outputs of {len(models)} models ({', '.join(models[:4])});"
            " give one file a model"
        )
    return annotations


def _rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON list or of JSON lines."""
    try:
        raw = path.read_bytes()
        if raw.startswith(b"\x1f\x8b"):
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    rows = _parse_list(text, path) if text.lstrip().startswith("[") else _parse_lines(text, path)
    if not rows:
        raise UsageError(f"{path} is empty; expected AlpacaEval annotations")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}, row {number}: {shortened(str(row))} is not a JSON object")
    return rows


def _parse_list(text: str, path: Path) -> list[Any]:
    try:
        rows: list[Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}: {error.msg} in a JSON list") from error
    return rows


def _parse_lines(text: str, path: Path) -> list[Any]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise UsageError(
                f"{path}, line {number}: {error.msg}; expected AlpacaEval's JSON or JSON lines"
            ) from error
    return rows


def _annotation(row: dict[str, Any], where: str) -> Annotation:
    official = "output_2" in row
    return Annotation(
        instruction=_text(row, "instruction", where),
        output=_text(row, "output_2" if official else "output", where),
        generator=_text(row, "generator_2" if official else "generator", where, ""),
        preference=_preference(row.get("preference"), where),
        dataset=_text(row, "dataset", where, ""),
        baseline_output=_text(row, "output_1", where) if official else None,
        baseline=_text(row, "generator_1", where, ""),
    )


def _text(row: dict[str, Any], field: str, where: str, default: str | None = None) -> str:
    value = row.get(field, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise UsageError(
            f"{where}: {field} is {shortened(str(value))}, not a text; expected an AlpacaEval row"
            " with instruction, output (or output_1 and output_2) and preference"
        )
    return value


def _preference(value: object, where: str) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: preference {value!r} is not a number from 1 to 2, 0 or null")
    if value == 0:
        return DRAW
    if not 1 <= value <= 2:
        raise UsageError(f"{where}: preference {value} is not from 1 to 2, 0 (a draw) or null")
    return float(value)
