"""`dmoa simulate`: what a network does, by simulation."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dmoa.cli.main import app
from dmoa.cli.numbers import parse_numbers, parse_whole_numbers
from dmoa.errors import UsageError

Option = typer.Option


@app.command()
def simulate(
    scenario: Annotated[
        Path | None, typer.Argument(help="A scenario file (TOML); flags change single values.")
    ] = None,
    devices: Annotated[int | None, Option(help="Number of devices.")] = None,
    alpha: Annotated[
        str | None, Option(help="Mean service time in seconds; one, or one a device: 1,1,1,4.")
    ] = None,
    rate: Annotated[
        str | None, Option(help="Prompts per second per user; one, or one a user.")
    ] = None,
    slots: Annotated[
        str | None, Option(help="Tasks that a device serves at once; one, or one a device.")
    ] = None,
    layers: Annotated[int | None, Option(help="M.")] = None,
    proposers: Annotated[int | None, Option(help="k.")] = None,
    service: Annotated[
        Literal["exponential", "deterministic", "lognormal", "erlang"] | None,
        Option(help="Law of the service times."),
    ] = None,
    cv: Annotated[
        float | None, Option(help="Coefficient of variation of lognormal service times.")
    ] = None,
    shape: Annotated[int | None, Option(help="Shape of Erlang service times.")] = None,
    prompts: Annotated[
        int | None, Option(help="Measured prompts in each replication, warm-up not counted.")
    ] = None,
    replications: Annotated[int | None, Option(help="Independent runs.")] = None,
    seed: Annotated[int | None, Option(help="The result depends on it alone.")] = None,
    warmup: Annotated[
        int | None, Option(help="Prompts left out at the start; found when not given.")
    ] = None,
    policy: Annotated[
        Literal["uniform", "backlog", "weighted"] | None, Option(help="Who proposes.")
    ] = None,
    sample: Annotated[
        int | None, Option(help="Devices of which `backlog` takes the k least loaded.")
    ] = None,
    discipline: Annotated[
        Literal["fcfs", "owner-first"] | None, Option(help="Order of service.")
    ] = None,
    arrivals: Annotated[
        Literal["poisson", "burst"] | None,
        Option(help="For ever, or this many prompts from an empty network."),
    ] = None,
    bound: Annotated[int | None, Option(help="Most tasks that wait at a device.")] = None,
    cancel: Annotated[
        bool | None, Option("--cancel/--no-cancel", help="Cancel work that nobody needs.")
    ] = None,
    target: Annotated[
        float | None, Option(help="Admit prompts at the door for this latency, seconds.")
    ] = None,
    ladder: Annotated[
        bool | None, Option("--ladder/--no-ladder", help="Lower M and k before refusing.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        Option("--vary", help="Sweep: TABLE.KEY=V1,V2,...; may repeat. E.g. network.rate=0.05,0.1"),
    ] = None,
    output: Annotated[
        Path | None, Option(help="Write results to a .parquet, .csv or .json file.")
    ] = None,
    picture: Annotated[Path | None, Option(help="Write a picture (.png, .svg or .pdf).")] = None,
    results: Annotated[
        Path | None, Option(help="Keep finished points of a sweep here and go on from them.")
    ] = None,
    cluster: Annotated[
        str | None, Option(help="Run a sweep on the Dask cluster at this address.")
    ] = None,
    threads: Annotated[int | None, Option(help="Replications at once; all cores.")] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Simulate a network: latency, queues and their intervals."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}; use 1 or more")
    given: dict[str, dict[str, Any]] = {
        "network": {
            "devices": devices,
            "alpha": parse_numbers("--alpha", alpha),
            "rate": parse_numbers("--rate", rate),
            "slots": parse_whole_numbers("--slots", slots),
        },
        "protocol": {
            "layers": layers,
            "proposers": proposers,
            "policy": policy,
            "sample": sample,
            "discipline": discipline,
        },
        "service": {"law": service, "cv": cv, "shape": shape},
        "arrivals": {"law": arrivals},
        "queue": {"bound": bound, "cancel": cancel},
        "admission": {"target": target, "ladder": ladder},
        "run": {
            "prompts": prompts,
            "replications": replications,
            "seed": seed,
            "warmup": warmup,
        },
    }
    from dmoa.cli import simulating

    simulating.run(
        scenario,
        given,
        vary=vary or [],
        output=output,
        picture=picture,
        results=results,
        cluster=cluster,
        threads=threads,
        as_json=as_json,
    )
