"""Train the four pocket LLMs of one seed, and evaluate them.

    python -m training.run --seed 1 --out runs/1            # about six minutes on one H100
    python -m training.run --seed 1 --out runs/1 --slice 240    # stop after a stage; run again
    python -m training.run --seed 1 --out /tmp/dry --scale 0.001 --world 1   # a dry run, CPU

Writes checkpoint0.pt and checkpoint1.pt (weights of two models each), log.jsonl, and
outcomes.npz (one bit for each row, owner and test question). The last line is JSON.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

from dmoa.evaluation.pocketqa import SEED, questions, world
from training import examples, pools, text

EXAMPLES = {"single": 800_000, "simulated": 250_000, "outside": 40_000}
"""Examples of stage 1, for each model."""
_JOB = 20_000


def main() -> None:
    """Run the stages that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--world", type=int, default=SEED)
    parser.add_argument("--test-seed", type=int, default=99, help="99 is for trials")
    parser.add_argument("--questions", type=int, default=4000, help="0: no evaluation")
    parser.add_argument("--slice", type=float, default=float("inf"), help="seconds")
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: small models, CPU")
    parser.add_argument("--optimiser", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--workers", type=int, default=min(15, os.cpu_count() or 1))
    args = parser.parse_args()
    started = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # of the workers
    examples.use_world(args.world)
    workers = multiprocessing.get_context("fork").Pool(args.workers)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    # The workers begin before the GPU is touched: they must not inherit it.
    waiting = {}
    for kind, n in EXAMPLES.items():
        jobs = -(-int(n * args.scale) // _JOB)
        size = max(256, min(_JOB, int(n * args.scale)))
        calls = [(kind, m, f"{args.seed} {j}", size) for m in range(4) for j in range(jobs)]
        waiting[kind] = ([c[1] for c in calls], workers.starmap_async(pools.drawn, calls, 1))

    import torch

    from training import evaluate, stages
    from training.model import Ensemble, Shape

    log = stages.write_line(args.out / "log.jsonl")
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    log(
        {
            "command": " ".join(["python -m training.run", *sys.argv[1:]]),
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "torch": torch.__version__,
        }
    )
    torch.manual_seed(args.seed)
    small = {"width": 48, "layers": 2, "heads": 2, "hidden": 64} if args.scale < 1 else {}
    net = Ensemble(Shape(vocabulary=text.tokenizer().get_vocab_size(), **small), seed=args.seed)
    done = stages.restore(net, args.out)
    net.to(device)
    log({"parameters": sum(p.numel() for p in net.parameters()) // 4, "stages done": done})
    if cuda:
        net.dtype = torch.bfloat16
        net.compile()
        warm_up(net)
        log({"compiled": True})
    workshop = pools.Workshop(workers, device)
    training = stages.Training(net, workshop, args.seed, args.scale, args.optimiser == "muon", log)
    digest = hashlib.sha256(text.tokenizer().to_str().encode())
    digest.update(repr(sorted(world(args.world).facts.items())).encode())
    for kind, (models, result) in waiting.items():
        parts = result.get()
        for part in parts:
            for tokens, weights in part:
                digest.update(tokens.tobytes())
                digest.update(weights.tobytes())
        training.pools[kind] = workshop.collect(models, parts)
        sizes = [t.shape[1] for t, _ in training.pools[kind]]
        log({"examples": kind, "by length": dict(zip(text.LENGTHS, sizes, strict=True))})
    del waiting
    log({"data sha256": digest.hexdigest()})

    for stage in range(done + 1, 5):
        if time.monotonic() - started > args.slice:
            log({"stopped before stage": stage})
            break
        training.run(stage)
        stages.save(net, stage, args.out)
    else:
        if args.questions:
            asked = questions(args.questions, args.test_seed, world_seed=args.world)
            bits = evaluate.evaluate(training.sampler.ask, asked, seed=args.test_seed)
            evaluate.save(bits, str(args.out / "outcomes.npz"))
            log({"rows": {name: round(100 * row.mean(), 2) for name, row in bits.items()}})
    workers.close()
    print(json.dumps({"out": str(args.out), "seconds": round(time.monotonic() - started, 1)}))


def warm_up(net: Any) -> None:
    """Compile for every length while the workers still make examples."""
    import torch

    from training.stages import BATCH_TOKENS

    for length in text.LENGTHS:
        batch = max(8, BATCH_TOKENS // length // 8 * 8)
        ids = torch.ones(4, batch, length, dtype=torch.long, device=net.embedding.device)
        net.loss(ids, torch.ones_like(ids).float()).sum().backward()
    for p in net.parameters():
        p.grad = None
    torch.cuda.synchronize()


if __name__ == "__main__":
    main()
