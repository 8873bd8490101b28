"""The paper's tables beside what the pocket LLMs do in the same rows.

`tables.json` was made by `dmoa eval pocketqa`, with the questions and the seed that it names.
"""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

TEAM_OF = {"I": "same", "II": "diverse"}
KEPT = ("layers", "proposers", "tasks", "accuracy", "burst", "service", "tokens")


def shipped() -> dict[str, Any]:
    """The study that comes with dmoa."""
    text = resources.files("dmoa.evaluation").joinpath("tables.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def beside_the_paper(paper: Mapping[str, Any], study: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of both tables: the paper's, and a study's of the same M and k.

    Args:
        paper: from `simulation.paper.reproduce_tables`.
        study: from `findings`; of at least the paper's rows, same and diverse.
    """
    found: dict[str, Any] = {"questions": study["questions"], "seed": study["seed"]}
    for name, team in TEAM_OF.items():
        ours = {
            (row["layers"], row["proposers"]): {field: row[field] for field in KEPT}
            for row in study["rows"]
            if (row["team"], row["method"]) == (team, "synthesise")
        }
        alpha, reload = paper[name]["alpha"], paper[name]["reload"]
        found[name] = []
        for row in paper[name]["rows"]:
            mine, published = ours[row["layers"], row["proposers"]], row["published"]
            # Reloading makes the paper's inferences of Table II too unequal for one unit.
            unit = None if reload else alpha
            found[name].append(
                {
                    **mine,
                    "latency_in_services": mine["burst"]["latency"]["mean"] / mine["service"],
                    "published": {
                        **published,
                        "latency_in_services": published["latency"] / unit if unit else None,
                    },
                }
            )
    return found
