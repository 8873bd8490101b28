"""Replies of the models, many at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.model import Ensemble
from training.text import BOS, EOS, tokenizer

LONGEST = 24
"""Tokens of a reply at most."""
_CHUNK_TOKENS = 400_000
"""Prompt tokens of one model that are worked on at a time; bounds the memory."""


class Sampler:
    """Asks all models at once.

    Args:
        net: the models.
        generator: draws the tokens.
    """

    def __init__(self, net: Ensemble, generator: torch.Generator) -> None:
        self._net = net
        self._generator = generator
        self._comma = tokenizer().encode(",").ids[0]

    def ask(
        self,
        prompts: Sequence[str] | Sequence[Sequence[str]],
        temperature: float,
        to_comma: bool = False,
    ) -> list[list[str]]:
        """Replies to the prompts: for each model, one a prompt.

        Args:
            prompts: either texts that all models get, or a list of texts for each model, all
                of one length.
            temperature: 0 is greedy.
            to_comma: stop at the first comma, after which only the confidence follows.
        """
        e = self._net.shape.models
        tok = tokenizer()
        if not prompts:
            return [[] for _ in range(e)]
        if isinstance(prompts[0], str):
            ids = [[[BOS, *x.ids] for x in tok.encode_batch(list(prompts))]] * e
        else:
            ids = [[[BOS, *x.ids] for x in tok.encode_batch(list(p))] for p in prompts]
        n = len(ids[0])
        order = sorted(range(n), key=lambda i: max(len(p[i]) for p in ids))
        replies: list[list[list[int]]] = [[[]] * n for _ in range(e)]
        at = 0
        while at < n:
            # The longest prompt of a chunk is its last: shrink until it fits.
            size = min(n - at, 8192)
            while size > 1 and size * max(len(p[order[at + size - 1]]) for p in ids) > (
                _CHUNK_TOKENS
            ):
                size = size * 3 // 4
            chunk = order[at : at + size]
            made = self._generate([[p[i] for i in chunk] for p in ids], temperature, to_comma)
            for m in range(e):
                for i, reply in zip(chunk, made[m], strict=True):
                    replies[m][i] = reply
            at += size
        return [[text.strip() for text in tok.decode_batch(r)] for r in replies]

    @torch.no_grad()
    def _generate(
        self, prompts: list[list[list[int]]], temperature: float, to_comma: bool
    ) -> list[list[list[int]]]:
        net, shape = self._net, self._net.shape
        device = net.embedding.device
        e, b = len(prompts), len(prompts[0])
        t = max(len(p) for per_model in prompts for p in per_model)
        # Prompts end at one column: rotary positions are relative, so padding in front is free.
        tokens = np.zeros((e, b, t), np.int64)
        starts = np.zeros((e, b), np.int64)
        for m, per_model in enumerate(prompts):
            for i, p in enumerate(per_model):
                tokens[m, i, t - len(p) :] = p
                starts[m, i] = t - len(p)
        ids = torch.from_numpy(tokens).to(device)
        first = torch.from_numpy(starts).to(device).view(e * b, 1)
        total = t + LONGEST
        real = torch.arange(total, device=device)[None] >= first
        causal = torch.ones(t, t, dtype=torch.bool, device=device).tril()
        itself = torch.eye(t, dtype=torch.bool, device=device)
        mask = ((causal & real[:, None, :t]) | itself)[:, None]
        size = (e * b, shape.heads, total, shape.head_width)
        cache = [
            (
                torch.zeros(size, dtype=net.dtype, device=device),
                torch.zeros(size, dtype=net.dtype, device=device),
            )
            for _ in range(shape.layers)
        ]
        logits = net.next_logits(ids, mask, cache, 0)
        chosen: list[Tensor] = []
        done = torch.zeros(e, b, dtype=torch.bool, device=device)
        for step in range(LONGEST):
            token = self._choose(logits, temperature)
            token = torch.where(done, EOS, token)
            chosen.append(token)
            done |= token == EOS
            if to_comma:
                done |= token == self._comma
            if step == LONGEST - 1 or (step % 4 == 3 and bool(done.all())):
                break
            seen = real[:, None, None, : t + step + 1]
            logits = net.next_logits(token[:, :, None], seen, cache, t + step)
        rows = torch.stack(chosen, -1).cpu().numpy()
        return [
            [row[: row.index(EOS)] if EOS in row else row for row in map(np.ndarray.tolist, model)]
            for model in rows
        ]

    def _choose(self, logits: Tensor, temperature: float) -> Tensor:
        if temperature == 0:
            return logits.argmax(-1)
        uniform = torch.rand(logits.shape, device=logits.device, generator=self._generator)
        return (logits / temperature - torch.log(-torch.log(uniform.clamp_min(1e-9)))).argmax(-1)
