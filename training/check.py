"""Do the GGUF files say what the PyTorch models say? And how fast are they?

    python -m training.check runs/seed1 [--gguf DIR] [--prompts 100]

Greedy replies in float32, to questions alone and with drafts, must be equal. Prints one JSON
line for each model.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
import xllamacpp

from dmoa.evaluation.pocketqa import answer_of, questions
from dmoa.evaluation.pocketqa.forms import TRAIN
from dmoa.llm import pocket
from training.convert import load
from training.sampling import Sampler


def chat(path: Path, threads: int = 1) -> Callable[[str, float, int], str]:
    """A model in llama.cpp: a function of user message, temperature and seed."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = pocket.CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.warmup = False
    params.verbosity = 0
    server = xllamacpp.Server(params)

    def ask(message: str, temperature: float, seed: int) -> str:
        reply = server.handle_chat_completions(
            {
                "messages": [{"role": "user", "content": message}],
                "max_tokens": pocket.MAX_TOKENS,
                "temperature": temperature,
                "top_k": 0,
                "top_p": 1.0,
                "min_p": 0.0,
                "seed": seed,
                "cache_prompt": False,
            }
        )
        return str(reply["choices"][0]["message"]["content"]).strip()

    return ask


def main() -> None:
    """Compare on held-out and training sentences; the seed is not the test's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--gguf", type=Path, default=Path(pocket.__file__).parent)
    parser.add_argument("--prompts", type=int, default=100)
    args = parser.parse_args()
    net = load(args.run)
    sampler = Sampler(net, torch.Generator())
    n = args.prompts
    asked = questions(n // 2, 97) + questions(n - n // 2, 97, TRAIN)
    alone = [q.text for q in asked]
    first = sampler.ask([text + "\nA:" for text in alone], 0.0)
    teams = [
        pocket.aggregation_prompt(q.text, [first[(i + j) % 4][i] for j in range(1 + i % 4)])
        for i, q in enumerate(asked)
    ]
    second = sampler.ask([text + "\nA:" for text in teams], 0.0)
    for m, name in enumerate(pocket.NAMES):
        ask = chat(args.gguf / f"{name}.gguf")
        started = time.perf_counter()
        replies = [ask(text, 0.0, 0) for text in alone + teams]
        took = time.perf_counter() - started
        wanted = first[m] + second[m]
        pairs = list(zip(replies, wanted, strict=True))
        print(
            json.dumps(
                {
                    "model": name,
                    "prompts": len(pairs),
                    "equal replies": sum(a == b for a, b in pairs),
                    "equal answers": sum(answer_of(a) == answer_of(b) for a, b in pairs),
                    "ms a call": round(1000 * took / len(pairs), 1),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
