"""`dmoa plan`: which M and k a set of devices can afford, and what the law will do with them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dmoa.cli.numbers import parse_numbers
from dmoa.cli.options import Key
from dmoa.errors import UsageError
from dmoa.policies.limits import LIMITS

Option = typer.Option


def plan(
    alpha: Annotated[
        str | None, Option(help="Mean service time in seconds; one, or one a device: 1,1,1,4.")
    ] = None,
    devices: Annotated[int | None, Option(help="Number of devices.")] = None,
    rate: Annotated[
        str | None, Option(help="Prompts per second per user; one, or one a user.")
    ] = None,
    node: Annotated[
        str | None, Option(help="Take alpha and rate as a running node has measured them.")
    ] = None,
    key: Key = None,
    layers: Annotated[int | None, Option(help="M; a table of several without it.")] = None,
    proposers: Annotated[int | None, Option(help="k; a table of several without it.")] = None,
    skills: Annotated[
        str | None,
        Option(help="What the law will do: share of right answers of each device's LLM, 0.8,0.5."),
    ] = None,
    committee: Annotated[
        list[str] | None,
        Option(help="With --skills: M,K=QUALITY of a committee; may repeat. E.g. 1,3=0.84"),
    ] = None,
    cv: Annotated[
        float, Option(help="Coefficient of variation of the service times; 1 is exponential.")
    ] = 1.0,
    latency: Annotated[float | None, Option(help="Wanted mean latency, seconds.")] = None,
    p95: Annotated[float | None, Option(help="Wanted 95th percentile, seconds.")] = None,
    queue: Annotated[float | None, Option(help="Wanted bound of the mean queue.")] = None,
    max_layers: Annotated[
        int, Option(min=1, max=LIMITS.layers, help="Largest M of the table.")
    ] = 3,
    max_proposers: Annotated[
        int, Option(min=1, max=LIMITS.proposers, help="Largest k of the table.")
    ] = 4,
    prompt_bytes: Annotated[
        float, Option(help="Mean size of a prompt, for the memory of the queue.")
    ] = 2000.0,
    response_bytes: Annotated[
        float, Option(help="Mean size of a response, for the memory of the queue.")
    ] = 2000.0,
    picture: Annotated[Path | None, Option(help="Load against latency (.png, .svg, .pdf).")] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Plan M and k: load, verdict, latency, queue, and the largest that keep your bounds.

    With --skills: what the law will do, the mix of plans, quality, latency and loads.
    """
    from dmoa.cli.output import print_json, stdout
    from dmoa.cli.tables import print_table
    from dmoa.report.plans import plan_picture, plan_table, verdict
    from dmoa.report.simulation import PICTURE_KINDS, check_kind
    from dmoa.simulation.extra import needed
    from dmoa.simulation.planner import Plan, largest, plan_grid
    from dmoa.simulation.planner import plan as planned
    from dmoa.theory.memory import queue_bytes

    needed()
    check_kind(picture, PICTURE_KINDS, "--picture")
    if (layers is None) != (proposers is None):
        raise UsageError("--layers and --proposers go together; give both, or none for a table")
    given = _devices(node, key, alpha, rate, devices)
    if skills is not None:
        _foretell(given, skills, committee or [], as_json)
        return
    if committee:
        raise UsageError("--committee says what the law may choose; give --skills too")

    def memory(found: Plan) -> float | None:
        if found.queue_mean is None:
            return None
        return queue_bytes(
            found.queue_mean, found.layers, found.proposers, prompt_bytes, response_bytes
        )

    def row(found: Plan) -> dict[str, Any]:
        return {**found.to_dict(), "queue_bytes": memory(found)}

    if layers is not None and proposers is not None:
        plans = [planned(layers=layers, proposers=proposers, cv=cv, **given)]
        result: dict[str, Any] = row(plans[0])
    else:
        plans = plan_grid(cv=cv, max_layers=max_layers, max_proposers=max_proposers, **given)
        best = largest(plans, latency=latency, p95=p95, queue=queue)
        result = {"plans": [row(p) for p in plans], "largest": row(best) if best else None}
    if picture:
        plan_picture(picture, plans, cv=cv, **given)
    if as_json:
        print_json(result)
        return
    print_table(plan_table(plans, [memory(p) for p in plans]))
    stdout().print(verdict(plans, latency=latency, p95=p95, queue=queue))


def _foretell(given: dict[str, Any], skills: str, committee: list[str], as_json: bool) -> None:
    """What the law will do, instead of which M and k fit."""
    from dmoa.cli.output import print_json, stdout
    from dmoa.cli.tables import print_table
    from dmoa.report.outlook import device_table, sentences
    from dmoa.simulation.law.outlook import outlook

    said = parse_numbers("--skills", skills)
    count = given.pop("devices")
    sizes = [len(v) for v in given.values() if not isinstance(v, int | float)]
    alone = said if isinstance(said, list) else [said or 0.0] * (count or max(sizes, default=1))
    if count is not None and count != len(alone):
        raise UsageError(f"--skills are {len(alone)}, but there are {count} devices; one each")
    committees = dict(map(_committee, committee))
    found = outlook(skills=alone, committees=committees, **given)
    if as_json:
        print_json(found.to_dict())
        return
    if found.loads:
        print_table(device_table(found))
    stdout().print(sentences(found))


def _committee(text: str) -> tuple[tuple[int, int], float]:
    """M, k and quality of a committee."""
    try:
        size, quality = text.split("=")
        M, k = size.split(",")
        return (int(M), int(k)), float(quality)
    except ValueError:
        raise UsageError(f"--committee is {text!r}; use M,K=QUALITY, like 1,3=0.84") from None


def _devices(
    node: str | None, key: str | None, alpha: str | None, rate: str | None, devices: int | None
) -> dict[str, Any]:
    """Alpha, rate and devices, from flags or from a running node."""
    if node is not None:
        if alpha is not None or rate is not None or devices is not None:
            raise UsageError("--node measures alpha and rate; leave --alpha, --rate and --devices")
        import asyncio

        from dmoa.client import fetch_status
        from dmoa.simulation.planner import measured_devices

        found = measured_devices(asyncio.run(fetch_status(node, key)))
        return {"alpha": found.alphas, "rate": found.rates, "devices": len(found.alphas)}
    if alpha is None or rate is None:
        raise UsageError("--alpha and --rate are needed, or --node URL of a running node")
    return {
        "alpha": parse_numbers("--alpha", alpha),
        "rate": parse_numbers("--rate", rate),
        "devices": devices,
    }
