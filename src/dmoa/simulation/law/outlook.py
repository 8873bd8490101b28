"""What the law will do with given devices: the verb `plan` where there is a choice of plans."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from dmoa.errors import UsageError
from dmoa.policies.law import PATIENCE
from dmoa.simulation.law.results import LawResult
from dmoa.simulation.study import simulate, without_nan
from dmoa.theory.network import spread

_PROMPTS, _REPLICATIONS, _SEED = 20_000, 4, 0


@dataclass(frozen=True)
class OneMore:
    """What another device like the best one would bring, whose user sends nothing.

    Attributes:
        alpha: its mean service time, seconds.
        skill: of its LLM alone.
        quality: of the network with it.
        latency_mean: likewise, seconds.
    """

    alpha: float
    skill: float
    quality: float
    latency_mean: float


@dataclass(frozen=True)
class Outlook:
    """What the law does; from a simulation with a fixed seed.

    Attributes:
        quality: per offered prompt; refused ones count 0.
        fluid_quality: what no rule can exceed.
        answered: share of the offered prompts.
        latency_mean: seconds.
        latency_p95: seconds.
        queue_max: the longest queue, tasks.
        plans: each with its share of the answered prompts.
        loads: share of time that each device is busy, shape (n,); empty for more than a hundred.
        users: quality per offered prompt of each user; None for one who sends nothing.
        one_more: what another device would bring.
    """

    quality: float
    fluid_quality: float
    answered: float
    latency_mean: float
    latency_p95: float
    queue_max: int
    plans: list[dict[str, Any]]
    loads: list[float]
    users: list[float | None]
    one_more: OneMore

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; None for what does not exist."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain


def outlook(
    *,
    alpha: float | Sequence[float],
    rate: float | Sequence[float],
    skills: Sequence[float],
    committees: Mapping[tuple[int, int], float] | None = None,
    patience: float = PATIENCE,
) -> Outlook:
    """What the law will do with these devices under this load.

    Args:
        alpha: mean service time in seconds; one, or one a device.
        rate: prompts per second per user; one, or one a user.
        skills: of each device's LLM alone, the share of right answers, 0 to 1, shape (n,).
        committees: quality by (M, k) of committees that the own LLM aggregates; none by default.
        patience: V, mean service times that a surely right answer may cost.

    Raises:
        UsageError: a value makes no sense; names it.
    """
    n = len(skills)
    for device, skill in enumerate(skills):
        if not 0.0 <= skill <= 1.0:
            raise UsageError(f"skill of device {device} is {skill}; use 0 to 1")
    alphas, rates = spread("alpha", alpha, n), spread("rate", rate, n)
    best = max(range(n), key=lambda device: skills[device])

    def found(
        devices: Sequence[float], users: Sequence[float], alone: Sequence[float]
    ) -> LawResult:
        plans: list[dict[str, Any]] = [
            {"layers": M, "proposers": k, "quality": quality}
            for (M, k), quality in (committees or {}).items()
        ]
        plans += [{"device": d, "quality": quality} for d, quality in enumerate(alone)]
        run = {"prompts": _PROMPTS, "replications": _REPLICATIONS, "seed": _SEED}
        tables = {
            "network": {"alpha": list(devices), "rate": list(users)},
            "law": {"patience": patience},
            "plans": plans,
            "run": run,
        }
        return cast(LawResult, simulate(tables))

    now = found(alphas, rates, skills)
    more = found([*alphas, alphas[best]], [*rates, 0.0], [*skills, skills[best]])
    return Outlook(
        quality=now.quality,
        fluid_quality=now.fluid_quality,
        answered=now.answered,
        latency_mean=now.latency.mean,
        latency_p95=now.latency.p95,
        queue_max=now.queue.max,
        plans=now.plans,
        loads=now.loads,
        users=now.users,
        one_more=OneMore(alphas[best], skills[best], more.quality, more.latency.mean),
    )
