"""AlpacaEval's files written, and what is to be said of those that were read.

Outputs go in the official format, the judge's input, and judgements in that of annotations;
`dmoa.llm.annotations` reads both.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from dmoa.errors import UsageError
from dmoa.llm.annotations import Annotation
from dmoa.text import shortened


def write_outputs(path: Path, annotations: Iterable[Annotation]) -> None:
    """Write the model's outputs as AlpacaEval's `model_outputs` (JSON; the judge's input)."""
    rows = [
        {
            "dataset": a.dataset,
            "instruction": a.instruction,
            "output": a.output,
            "generator": a.generator,
        }
        for a in annotations
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_annotations(path: Path, annotations: Iterable[Annotation], annotator: str) -> None:
    """Write judgements in the official form: output_1 is the baseline's, output_2 the model's."""
    rows = [
        {
            "dataset": a.dataset,
            "instruction": a.instruction,
            "generator_1": a.baseline,
            "output_1": a.baseline_output,
            "generator_2": a.generator,
            "output_2": a.output,
            "annotator": annotator,
            "preference": a.preference,
        }
        for a in annotations
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def with_baseline(
    annotations: Sequence[Annotation], baseline: Sequence[Annotation]
) -> list[Annotation]:
    """Put the baseline's outputs beside the model's, in the baseline's order.

    Args:
        annotations: the model's outputs.
        baseline: the baseline's outputs (a file of its own as the "model").

    Raises:
        UsageError: the two do not answer the same prompts, or one of them twice.
    """
    mine = _by_instruction(annotations, "the model's file")
    theirs = _by_instruction(baseline, "the baseline's file")
    for name, missing in (
        ("only in the model's file", mine.keys() - theirs.keys()),
        ("missing in the model's file", theirs.keys() - mine.keys()),
    ):
        if missing:
            raise UsageError(
                f"the prompts are not the baseline's: {len(missing)} {name}, for example"
                f" {shortened(min(missing))}; both must answer the same prompts"
            )
    return [
        Annotation(
            instruction=prompt,
            output=mine[prompt].output,
            generator=mine[prompt].generator,
            preference=mine[prompt].preference,
            dataset=mine[prompt].dataset or theirs[prompt].dataset,
            baseline_output=theirs[prompt].output,
            baseline=theirs[prompt].generator,
        )
        for prompt in theirs
    ]


def complaints(annotations: Sequence[Annotation]) -> list[str]:
    """What a reader of a score should know of its file, one sentence each."""
    found = []
    unjudged = [a for a in annotations if a.preference is None]
    if unjudged:
        found.append(
            f"{len(unjudged)} of {len(annotations)} prompts have no preference and are left out,"
            f" for example {shortened(unjudged[0].instruction)}"
        )
    empty = [a for a in annotations if not a.output.strip()]
    if empty:
        found.append(
            f"{len(empty)} outputs are empty, for example for {shortened(empty[0].instruction)};"
            " their preferences count as the judge gave them"
        )
    times = Counter(a.instruction for a in annotations)
    repeated = [prompt for prompt, count in times.items() if count > 1]
    if repeated:
        found.append(
            f"{len(repeated)} prompts stand more than once, for example {shortened(repeated[0])};"
            " each row is counted"
        )
    return found


def _by_instruction(rows: Sequence[Annotation], name: str) -> dict[str, Annotation]:
    found = {row.instruction: row for row in rows}
    if len(found) < len(rows):
        twice = Counter(row.instruction for row in rows).most_common(1)[0][0]
        raise UsageError(f"{name} answers a prompt more than once: {shortened(twice)}")
    return found
