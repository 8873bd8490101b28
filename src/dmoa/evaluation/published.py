"""The paper's tables beside what the pocket LLMs do in the same rows.

`tables.json` was made by `dmoa eval pocketqa`, with the questions and the seed that it names.
"""

from importlib import resources

import msgspec

from dmoa.evaluation.findings import Findings
from dmoa.evaluation.intervals import Interval
from dmoa.evaluation.timing import Bursts
from dmoa.simulation.published.paper import ReproducedTables, Table


class MeasuredRow(msgspec.Struct, frozen=True):
    """What is shown of a row of `findings.RowFindings`."""

    team: str
    method: str
    layers: int
    proposers: int
    tasks: int
    accuracy: Interval
    burst: Bursts
    service: float
    tokens: float


class MeasuredStudy(msgspec.Struct, frozen=True):
    """What is shown of `findings.Findings`."""

    questions: int
    seed: int
    rows: list[MeasuredRow]


class PaperFigures(msgspec.Struct, frozen=True):
    """The paper's figures of a row; the latency also in mean service times, where it has any."""

    latency: float
    queue: float
    accuracy: float
    latency_in_services: float | None


class RowBeside(msgspec.Struct, frozen=True):
    """A row of ours, and the paper's."""

    layers: int
    proposers: int
    tasks: int
    accuracy: Interval
    burst: Bursts
    service: float
    tokens: float
    latency_in_services: float
    published: PaperFigures


class Beside(msgspec.Struct, frozen=True):
    """Both tables beside ours, of so many questions."""

    questions: int
    seed: int
    same: list[RowBeside] = msgspec.field(name="I")
    diverse: list[RowBeside] = msgspec.field(name="II")


def shipped() -> MeasuredStudy:
    """The study that comes with dmoa."""
    content = resources.files("dmoa.evaluation").joinpath("tables.json").read_bytes()
    return msgspec.json.decode(content, type=MeasuredStudy)


def beside_the_paper(paper: ReproducedTables, study: MeasuredStudy | Findings) -> Beside:
    """Rows of both tables: the paper's, and a study's of the same M and k.

    Args:
        paper: the tables.
        study: of at least the paper's rows, same and diverse.
    """
    return Beside(
        questions=study.questions,
        seed=study.seed,
        same=_rows(paper.first, study, "same"),
        diverse=_rows(paper.second, study, "diverse"),
    )


def _rows(table: Table, study: MeasuredStudy | Findings, team: str) -> list[RowBeside]:
    ours = {
        (row.layers, row.proposers): row
        for row in study.rows
        if (row.team, row.method) == (team, "synthesise")
    }
    # Reloading makes the paper's inferences of Table II too unequal for one unit.
    unit = None if table.reload else table.alpha
    found = []
    for row in table.rows:
        mine, published = ours[row.layers, row.proposers], row.published
        found.append(
            RowBeside(
                layers=mine.layers,
                proposers=mine.proposers,
                tasks=mine.tasks,
                accuracy=mine.accuracy,
                burst=mine.burst,
                service=mine.service,
                tokens=mine.tokens,
                latency_in_services=mine.burst.latency.mean / mine.service,
                published=PaperFigures(
                    published.latency,
                    published.queue,
                    published.accuracy,
                    published.latency / unit if unit else None,
                ),
            )
        )
    return found
