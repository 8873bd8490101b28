"""The rules of a scenario as the event kernel wants them."""

import numpy as np

from dmoa.policies.law import mean_service
from dmoa.simulation.events import state
from dmoa.simulation.events.door import thresholds, work_limit
from dmoa.simulation.events.state import Rules
from dmoa.simulation.law.tables import LawTable, PlanTable
from dmoa.simulation.scenario import Scenario
from dmoa.theory.network import QueueingNetwork

SAMPLE = 16  # other devices that are looked at unless the scenario says otherwise
_TARGET = 40.0  # of the ladder, mean service times
_KINDS = {
    "price": state.PRICE,
    "ladder": state.LADDER,
    "fixed": state.FIXED,
    "tail-drop": state.FIXED,
}


def build_rules(scenario: Scenario, network: QueueingNetwork) -> Rules:
    """The rules of a scenario; without a law there is one plan, which is always taken."""
    n = network.size
    law, plans = scenario.law, scenario.plans
    if law is None:
        law = LawTable(kind="fixed", fair=False)
        plans = [PlanTable(layers=network.layers, proposers=network.proposers, quality=1.0)]
    layers = np.array([plan.layers for plan in plans], np.int64)
    proposers = np.where(layers > 0, [plan.proposers for plan in plans], 0).astype(np.int64)
    devices = np.array([-1 if p.device is None else p.device for p in plans], np.int64)
    most = int(proposers.max())
    first, places, inferences = [0], [], []
    for M, k, device in zip(layers, proposers, devices, strict=True):
        if device >= 0:
            places.append(1 + most + int(device))
            inferences.append(1.0)
        else:
            places += range(int(k) + 1)
            inferences += [M + 1.0, *[float(M)] * int(k)]
        first.append(len(places))
    mean = mean_service(network.alphas)
    target = law.target or _TARGET * mean
    bound = law.bound if law.kind == "tail-drop" else scenario.queue.bound
    return Rules(
        kind=_KINDS[law.kind],
        owner_first=scenario.protocol.discipline == "owner-first",
        quorum=scenario.protocol.quorum or 0,
        bound=bound or 0,
        cancel=scenario.queue.cancel,
        mean_up=scenario.failures.mean_up or 0.0,
        mean_down=scenario.failures.mean_down or 0.0,
        patience=law.patience,
        age=law.age,
        sample=min(law.sample or SAMPLE, n - 1),
        fair=law.fair and law.kind == "price",
        share=sum(network.slots or (1,) * n) / n,
        mean=mean,
        limit=work_limit(target, int(layers[0]), int(proposers[0])),
        target=target,
        thresholds=np.array(thresholds(len(layers))),
        layers=layers,
        proposers=proposers,
        devices=devices,
        qualities=np.array([plan.quality for plan in plans]),
        most=most,
        first=np.array(first, np.int64),
        places=np.array(places, np.int64),
        inferences=np.array(inferences),
    )
