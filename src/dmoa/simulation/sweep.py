"""A grid of scenarios, on all cores or on a Dask cluster; what is done survives an interruption.

Finished points are appended to a file of JSON lines, each under a key that is made of all of
its scenario. A sweep that is run again takes from the file what it finds there.
"""

import hashlib
import itertools
import json
import math
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from dmoa.errors import BadScenario, NoCluster, UsageError
from dmoa.simulation.arrivals import digest_of
from dmoa.simulation.fcfs.engine import Progress
from dmoa.simulation.law.results import LawResult
from dmoa.simulation.scenario import Scenario, scenario_of
from dmoa.simulation.study import SimulationResult, StoppedEarly, simulate

CONNECT_SECONDS = 10
_RETRIES = 3  # of a point whose worker disappears


@dataclass(frozen=True)
class SweepPoint:
    """A finished point: the swept values by their keys, and what was found."""

    values: dict[str, Any]
    result: SimulationResult

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON: `point`, and the fields of the result."""
        return {"point": self.values, **self.result.to_dict()}


def points(scenario: Scenario) -> list[tuple[dict[str, Any], Scenario]]:
    """All combinations of the swept values, each with its scenario, in order.

    Raises:
        BadScenario: a swept key or value makes no sense; all are checked before anything runs.
    """
    base = scenario.model_dump(exclude={"sweep"})
    found = []
    for values in itertools.product(*scenario.sweep.values()):
        point = dict(zip(scenario.sweep, values, strict=True))
        tables = json.loads(json.dumps(base, default=str))
        for key, value in point.items():
            table, _, name = key.partition(".")
            if name not in (tables.get(table) or {}):
                raise BadScenario(f"sweep.{key}: there is no such key; use one like network.rate")
            tables[table][name] = value
        try:
            found.append((point, scenario_of(tables)))
        except UsageError as error:
            where = ", ".join(f"{key} = {value!r}" for key, value in point.items())
            raise BadScenario(f"sweep at {where}: {error}") from error
    if not found:
        raise BadScenario("sweep: a list of values is empty")
    return found


def sweep(
    scenario: Scenario,
    *,
    results: Path | None = None,
    cluster: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[SweepPoint]:
    """Simulate all points of a sweep.

    Args:
        scenario: with a `sweep` table.
        results: file of finished points; those that it has are not run again. Without it they
            are kept in the cache until the sweep is complete.
        cluster: address of a Dask scheduler, e.g. tcp://10.0.0.1:8786.
        threads: points at once on this machine; as many as there are cores when left out.
        progress: is told the share that is done.

    Returns:
        All points in order.

    Raises:
        BadScenario: a point makes no sense.
        NoCluster: no scheduler answers at the address.
    """
    everything = points(scenario)
    digests: dict[Path, str] = {}
    keys = [_key(one, digests) for _, one in everything]
    path = results or _cached(keys)
    done = _read(path)
    missing = [place for place, key in enumerate(keys) if key not in done]
    tasks = [(place, everything[place][1].model_dump(mode="json")) for place in missing]
    running = _on_cluster(tasks, cluster) if cluster else _on_cores(tasks, threads)
    if missing:
        with _appending(path, named=results is not None) as file:
            if file.tell() and not path.read_text(encoding="utf-8").endswith("\n"):
                file.write("\n")  # the line that an interruption cut short
            for place, outcome in running:
                point = SweepPoint(everything[place][0], outcome)
                done[keys[place]] = point
                file.write(json.dumps({"key": keys[place], "row": point.to_dict()}) + "\n")
                file.flush()
                if progress:
                    progress(sum(key in done for key in keys) / len(keys))
    if results is None:
        path.unlink(missing_ok=True)
    return [done[key] for key in keys]


def _simulate_point(
    place: int, tables: dict[str, Any], threads: int | None, progress: Progress | None = None
) -> tuple[int, SimulationResult]:
    return place, simulate(tables, threads=threads, progress=progress)


def _on_cores(
    tasks: list[tuple[int, dict[str, Any]]], threads: int | None
) -> Iterator[tuple[int, SimulationResult]]:
    stopped = threading.Event()

    def tell(_: float) -> None:
        if stopped.is_set():
            raise StoppedEarly

    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    futures = [pool.submit(_simulate_point, place, tables, 1, tell) for place, tables in tasks]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        # After Ctrl-C or a failure, points that have begun stop at their next report of progress.
        stopped.set()
        pool.shutdown(cancel_futures=True)


def _on_cluster(
    tasks: list[tuple[int, dict[str, Any]]], address: str
) -> Iterator[tuple[int, SimulationResult]]:
    """Points as they finish; the scheduler gives those of a lost worker to another."""
    from dmoa.simulation.extra import needed

    needed("cluster")
    import distributed

    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise NoCluster(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`"
            " and workers with `dask worker ADDRESS`, or leave --cluster"
        ) from error
    with client:
        futures = [
            client.submit(_simulate_point, place, tables, None, pure=False, retries=_RETRIES)
            for place, tables in tasks
        ]
        finished: Iterable[Any] = distributed.as_completed(futures, with_results=True)
        for _, result in finished:
            yield result


def _key(scenario: Scenario, digests: dict[Path, str]) -> str:
    """What a finished point goes under: all that its outcome depends on.

    Args:
        digests: of recorded files, by path; read once a sweep, since they can be long.
    """
    tables = scenario.model_dump(mode="json", exclude={"sweep"})
    recorded = scenario.arrivals.file
    if recorded is not None:
        if recorded not in digests:
            digests[recorded] = digest_of(recorded)
        tables["arrivals"]["digest"] = digests[recorded]
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()[:24]


def _appending(path: Path, *, named: bool) -> IO[str]:
    """The file of finished points, to be added to.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        fix = "name another file" if named else "set DMOA_CACHE to a folder that can be written"
        raise UsageError(f"finished points cannot be kept in {path}: {error}; {fix}") from error


def _cached(keys: list[str]) -> Path:
    from dmoa.folders import cache_folder

    name = hashlib.sha256("".join(keys).encode()).hexdigest()[:24]
    return cache_folder() / "sweeps" / f"{name}.jsonl"


def _result(row: dict[str, Any]) -> SimulationResult:
    """What `SimulationResult.to_dict` made a row of."""
    kind = LawResult if "fluid_quality" in row else SimulationResult
    return msgspec.convert(_with_nan(row), kind)


def _with_nan(value: Any) -> Any:
    match value:
        case dict():
            return {key: _with_nan(inner) for key, inner in value.items()}
        case None:
            return math.nan
    return value


def _read(path: Path) -> dict[str, SweepPoint]:
    """Finished points by key; a line that was cut short counts as not finished.

    Raises:
        UsageError: the file is something else.
    """
    found: dict[str, SweepPoint] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"results {path} cannot be read: {error}") from error
    for line in lines:
        try:
            entry = json.loads(line)
            values = entry["row"].pop("point")
            found[entry["key"]] = SweepPoint(values, _result(entry["row"]))
        except json.JSONDecodeError:
            continue
        except (AttributeError, KeyError, TypeError, msgspec.ValidationError):
            raise UsageError(
                f"results {path} does not hold points of a sweep; name another file"
            ) from None
    return found
