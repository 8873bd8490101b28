"""Sweeps: every point once, on cores or on a cluster, interrupted or not."""

import os
import signal
from dataclasses import replace

import pytest
from numba.core.caching import CacheImpl, UserProvidedCacheLocator

from dmoa.errors import BadScenario, NoCluster, UsageError
from dmoa.simulation.compiled import kept
from dmoa.simulation.scenario import scenario_of
from dmoa.simulation.sweep import points, sweep
from tests.simulation.test_kernel import tables


def grid(**sweeps):
    return scenario_of(
        tables(
            run={"prompts": 300, "replications": 2},
            sweep=sweeps or {"network.rate": [0.02, 0.04, 0.06], "protocol.layers": [1, 2]},
        )
    )


def without_speed(found):
    return [(p.values, replace(p.result, tasks_per_second=0.0)) for p in found]


def test_all_combinations_come_in_order():
    found = [point for point, _ in points(grid())]
    assert len(found) == 6
    assert found[1] == {"network.rate": 0.02, "protocol.layers": 2}


def test_a_sweep_does_not_depend_on_threads():
    one, two = (sweep(grid(), threads=t) for t in (1, 2))
    assert without_speed(one) == without_speed(two)
    assert [point.values["protocol.layers"] for point in one] == [1, 2] * 3


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path):
    path = tmp_path / "points.jsonl"

    class Stopped(Exception):
        pass

    def stop_in_the_middle(share):
        if share >= 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        sweep(grid(), results=path, threads=1, progress=stop_in_the_middle)
    kept = path.read_text()
    assert kept.count("\n") == 3
    # The interruption may also cut a line short.
    path.write_text(kept[:-20])
    shares: list[float] = []
    rows = sweep(grid(), results=path, threads=1, progress=shares.append)
    assert len(shares) == 4
    assert without_speed(rows) == without_speed(sweep(grid(), threads=1))
    # All is there now: nothing runs again.
    sweep(grid(), results=path, progress=lambda share: pytest.fail("ran a finished point"))


def test_a_changed_recording_is_simulated_anew(tmp_path):
    recording, results = tmp_path / "prompts.json", tmp_path / "points.jsonl"

    def latency(seconds):
        recording.write_text(
            f'[{{"time": 0, "owner": 0, "proposers": [[1]], "seconds": [[{seconds}, 1], [1]]}}]'
        )
        scenario = scenario_of(
            {
                "network": {"devices": 2, "alpha": 1.0, "rate": 1.0},
                "protocol": {"layers": 1, "proposers": 1},
                "arrivals": {"law": "recorded", "file": str(recording)},
                "run": {"replications": 1},
                "sweep": {"run.seed": [1]},
            }
        )
        return sweep(scenario, results=results, threads=1)[0].result.latency.mean

    assert [latency(2), latency(5), latency(2)] == [3, 6, 3]
    assert len(results.read_text().splitlines()) == 2  # the third was known


def test_a_cache_that_cannot_be_written_is_named_with_the_fix(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DMOA_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="set DMOA_CACHE to a folder that can be written"):
        sweep(grid())
    with pytest.raises(UsageError, match="name another file"):
        sweep(grid(), results=tmp_path / "file" / "points.jsonl")


def test_compiled_code_goes_where_it_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [UserProvidedCacheLocator])
    monkeypatch.setenv("DMOA_CACHE", str(tmp_path / "cache"))
    assert kept(one_more)(1) == 2
    assert list((tmp_path / "cache" / "numba").rglob("*.nbi"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DMOA_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="file/numba/.* cannot be written; set DMOA_CACHE"):
        kept(one_more)


def one_more(number):
    return number + 1


def test_a_cached_sweep_is_forgotten_when_complete(tmp_path, monkeypatch):
    monkeypatch.setenv("DMOA_CACHE", str(tmp_path))
    sweep(grid(**{"network.rate": [0.02]}))
    assert list((tmp_path / "sweeps").iterdir()) == []


@pytest.mark.parametrize(
    ("sweeps", "words"),
    [
        ({"network.speed": [1]}, "no such key"),
        ({"rate": [1]}, "no such key"),
        ({"network.rate": []}, "is empty"),
        ({"network.rate": [0.1, -1]}, "network.rate = -1"),
        ({"protocol.proposers": [3, 8]}, "proposers = 8"),
    ],
)
def test_impossible_points_are_named_before_anything_runs(sweeps, words):
    with pytest.raises(BadScenario, match=words):
        sweep(grid(**sweeps))


def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path):
    path = tmp_path / "points.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(UsageError, match="does not hold points"):
        sweep(grid(), results=path)
    assert path.read_text() == '{"a": 1}\n'


def test_a_cluster_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("dmoa.simulation.sweep.CONNECT_SECONDS", 0.3)
    with pytest.raises(NoCluster, match=r"tcp://127\.0\.0\.1:9"):
        sweep(grid(), cluster="tcp://127.0.0.1:9")


@pytest.mark.processes
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_cluster_finishes_when_one_of_its_workers_is_killed(tmp_path):
    from distributed import Client, LocalCluster

    scenario = grid(**{"network.rate": [0.01 * i for i in range(1, 11)]})
    with LocalCluster(
        n_workers=3, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        with Client(cluster) as client:
            workers = list(client.run(os.getpid).values())
        killed: list[int] = []

        def kill_one(share):
            if not killed:
                killed.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)

        rows = sweep(
            scenario,
            cluster=cluster.scheduler_address,
            results=tmp_path / "points.jsonl",
            progress=kill_one,
        )
    assert killed
    assert without_speed(rows) == without_speed(sweep(scenario, threads=1))


def test_points_of_a_network_with_plans_are_kept_whole(tmp_path):
    scenario = scenario_of(
        {
            "network": {"devices": 4, "alpha": 1.0, "rate": 0.1},
            "law": {},
            "plans": [{"layers": 0, "proposers": 0, "quality": 0.5}],
            "run": {"prompts": 400, "replications": 1, "seed": 5},
            "sweep": {"network.alpha": [1.0]},
        }
    )
    path = tmp_path / "points.jsonl"
    (fresh,) = sweep(scenario, results=path, threads=1)
    (kept_before,) = sweep(scenario, results=path, progress=lambda share: pytest.fail("ran again"))
    assert kept_before.result.to_dict() == fresh.result.to_dict()
    assert type(kept_before.result) is type(fresh.result)
