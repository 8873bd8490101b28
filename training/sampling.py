"""Replies of the models, many at once."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
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
        self._known: dict[str, NDArray[np.int16]] = {}
        self._texts: dict[bytes, str] = {}
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
        if not prompts:
            return [[] for _ in range(e)]
        if isinstance(prompts[0], str):
            ids = [self._encoded(list(prompts))] * e  # type: ignore[arg-type]
        else:
            ids = [self._encoded(list(p)) for p in prompts]
        n = len(ids[0])
        lengths = np.max([[len(p) for p in per_model] for per_model in ids], axis=0)
        order = np.argsort(lengths, kind="stable")
        replies = [[""] * n for _ in range(e)]
        at = 0
        while at < n:
            # The longest prompt of a chunk is its last: shrink until it fits.
            size = min(n - at, 8192)
            while size > 1 and size * lengths[order[at + size - 1]] > _CHUNK_TOKENS:
                size = size * 3 // 4
            chunk = order[at : at + size].tolist()
            made = self._generate([[p[i] for i in chunk] for p in ids], temperature, to_comma)
            for m in range(e):
                mine = replies[m]
                for i, reply in zip(chunk, made[m], strict=True):
                    mine[i] = reply
            at += size
        return replies

    def _encoded(self, texts: list[str]) -> list[NDArray[np.int16]]:
        """Tokens of prompts; those of the last few thousand are remembered, as they come again."""
        known = self._known
        new = list({t for t in texts if t not in known})
        if len(known) + len(new) > 500_000:
            known.clear()
            new = list(set(texts))
        for text, made in zip(new, tokenizer().encode_batch_fast(new), strict=True):
            known[text] = np.array([BOS, *made.ids], np.int16)
        return [known[t] for t in texts]

    def _decoded(self, row: NDArray[np.int16]) -> str:
        """The text of a reply up to its end mark."""
        key = row.tobytes()
        text = self._texts.get(key)
        if text is None:
            ids = row.tolist()
            ids = ids[: ids.index(EOS)] if EOS in ids else ids
            text = self._texts[key] = tokenizer().decode(ids).strip()
        return text

    @torch.no_grad()
    def _generate(
        self, prompts: list[list[NDArray[np.int16]]], temperature: float, to_comma: bool
    ) -> list[list[str]]:
        net, shape = self._net, self._net.shape
        device = net.embedding.device
        e, b = len(prompts), len(prompts[0])
        lengths = np.array([[len(p) for p in per_model] for per_model in prompts])
        t = int(lengths.max())
        # Prompts end at one column: rotary positions are relative, so padding in front is free.
        starts = t - lengths
        tokens = np.zeros((e, b, t), np.int64)
        tokens[np.arange(t) >= starts[:, :, None]] = np.concatenate(
            [p for per_model in prompts for p in per_model]
        )
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
        rows = torch.stack(chosen, -1).to(torch.int16).cpu().numpy()
        return [[self._decoded(row) for row in model] for model in rows]

    def _choose(self, logits: Tensor, temperature: float) -> Tensor:
        if temperature == 0:
            return logits.argmax(-1)
        uniform = torch.rand(logits.shape, device=logits.device, generator=self._generator)
        return (logits / temperature - torch.log(-torch.log(uniform.clamp_min(1e-9)))).argmax(-1)
