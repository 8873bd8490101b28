"""Several Llama models of one shape as one module: every tensor has a leading axis of models.

The layout is llama.cpp's: pre-normalisation, interleaved rotary positions, SwiGLU, and one
embedding for input and output. Weights are kept in float32; products are made in bfloat16 on
a GPU.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-5


@dataclass(frozen=True)
class Shape:
    """Sizes of each model."""

    models: int = 4
    vocabulary: int = 1024
    width: int = 192
    layers: int = 5
    heads: int = 6
    hidden: int = 512
    theta: float = 10_000.0

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


def normalised(x: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Root-mean-square normalisation over the last axis."""
    x = x.float()
    return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * scale).to(dtype)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on interleaved pairs, as llama.cpp has them for Llama."""
    a, b = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(x.dtype)


def attention_inputs(
    x: Tensor, n1: Tensor, wqkv: Tensor, cos: Tensor, sin: Tensor, heads: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values [models * batch, heads, time, head width]."""
    e, b, t, d = x.shape
    h = torch.bmm(normalised(x.view(e, b * t, d), n1, dtype), wqkv.to(dtype))
    q, k, v = h.view(e * b, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    return rotated(q, cos, sin), rotated(k, cos, sin), v


def after_attention(
    x: Tensor, y: Tensor, wo: Tensor, n2: Tensor, wgu: Tensor, wd: Tensor, dtype: torch.dtype
) -> Tensor:
    """The rest of a layer: the attention's output and the feed-forward part are added."""
    e, b, t, d = x.shape
    flat = x.view(e, b * t, d)
    flat = flat + torch.bmm(y.transpose(1, 2).reshape(e, b * t, d), wo.to(dtype))
    gate, up = torch.bmm(normalised(flat, n2, dtype), wgu.to(dtype)).chunk(2, -1)
    flat = flat + torch.bmm(functional.silu(gate) * up, wd.to(dtype))
    return flat.view(e, b, t, d)


def layer(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    weights: tuple[Tensor, ...],
    heads: int,
    dtype: torch.dtype,
) -> Tensor:
    """One layer over whole sequences, each token seeing those before it."""
    n1, wqkv, wo, n2, wgu, wd = weights
    q, k, v = attention_inputs(x, n1, wqkv, cos, sin, heads, dtype)
    y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return after_attention(x, y, wo, n2, wgu, wd, dtype)


def head_loss(
    x: Tensor, nf: Tensor, embedding: Tensor, targets: Tensor, weights: Tensor, dtype: torch.dtype
) -> Tensor:
    """Weighted cross entropy of every model, shape [models]."""
    e, b, t, d = x.shape
    logits = torch.bmm(
        normalised(x.view(e, b * t, d), nf, dtype), embedding.to(dtype).transpose(1, 2)
    )
    losses = functional.cross_entropy(
        logits.float().view(e * b * t, -1), targets.reshape(-1), reduction="none"
    )
    weights = weights.reshape(e, b * t)
    return (losses.view(e, b * t) * weights).sum(1) / weights.sum(1).clamp_min(1e-6)


class Ensemble(nn.Module):
    """The models; they share nothing but the code."""

    def __init__(self, shape: Shape, seed: int = 0, longest: int = 256) -> None:
        super().__init__()
        self.shape = shape
        self.dtype = torch.float32
        generator = torch.Generator().manual_seed(seed)
        e, d, f, n = shape.models, shape.width, shape.hidden, shape.layers

        def matrix(rows: int, columns: int, deviation: float) -> nn.Parameter:
            drawn = torch.randn(e, rows, columns, generator=generator)
            return nn.Parameter(drawn * deviation)

        def ones() -> nn.Parameter:
            return nn.Parameter(torch.ones(e, 1, d))

        out = 1 / math.sqrt(2 * n)  # what is added to the stream starts small
        self.embedding = matrix(shape.vocabulary, d, 0.04)
        self.wqkv = nn.ParameterList([matrix(d, 3 * d, d**-0.5) for _ in range(n)])
        self.wo = nn.ParameterList([matrix(d, d, d**-0.5 * out) for _ in range(n)])
        self.wgu = nn.ParameterList([matrix(d, 2 * f, d**-0.5) for _ in range(n)])
        self.wd = nn.ParameterList([matrix(f, d, f**-0.5 * out) for _ in range(n)])
        self.n1 = nn.ParameterList([ones() for _ in range(n)])
        self.n2 = nn.ParameterList([ones() for _ in range(n)])
        self.nf = ones()
        angle = shape.theta ** (-torch.arange(0, shape.head_width, 2) / shape.head_width)
        angles = torch.arange(longest)[:, None] * angle
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._layer: Callable[..., Tensor] = layer
        self._head_loss: Callable[..., Tensor] = head_loss

    def compile(self) -> None:
        """Compile one layer and the loss; all layers share the code, so it is quick."""
        self._layer = torch.compile(layer, dynamic=False)
        self._head_loss = torch.compile(head_loss, dynamic=False)

    def weights(self, i: int) -> tuple[Tensor, ...]:
        """The weights of layer i."""
        return (self.n1[i], self.wqkv[i], self.wo[i], self.n2[i], self.wgu[i], self.wd[i])

    def embedded(self, ids: Tensor) -> Tensor:
        """Embeddings [models, batch, time, width] of tokens [models, batch, time]."""
        e, b, t = ids.shape
        d = self.shape.width
        return torch.gather(self.embedding, 1, ids.reshape(e, b * t, 1).expand(-1, -1, d)).view(
            e, b, t, d
        )

    def loss(self, ids: Tensor, weights: Tensor) -> Tensor:
        """The loss of each model on tokens [models, batch, time]."""
        x = self.embedded(ids[:, :, :-1])
        t = x.shape[2]
        for i in range(self.shape.layers):
            x = self._layer(
                x, self.cos[:t], self.sin[:t], self.weights(i), self.shape.heads, self.dtype
            )
        return self._head_loss(
            x, self.nf, self.embedding, ids[:, :, 1:], weights[:, :, 1:], self.dtype
        )

    def next_logits(
        self, ids: Tensor, mask: Tensor, cache: list[tuple[Tensor, Tensor]], start: int
    ) -> Tensor:
        """Logits [models, batch, vocabulary] after the last of the tokens.

        The keys and values of the tokens are added to the cache from position `start`; `mask`
        [models * batch, 1, time, start + time] says what each may see.
        """
        x = self.embedded(ids)
        end = start + x.shape[2]
        cos, sin = self.cos[start:end], self.sin[start:end]
        for i in range(self.shape.layers):
            n1, wqkv, wo, n2, wgu, wd = self.weights(i)
            q, k, v = attention_inputs(x, n1, wqkv, cos, sin, self.shape.heads, self.dtype)
            keys, values = cache[i]
            keys[:, :, start:end] = k
            values[:, :, start:end] = v
            y = functional.scaled_dot_product_attention(
                q, keys[:, :, :end], values[:, :, :end], attn_mask=mask
            )
            x = after_attention(x, y, wo, n2, wgu, wd, self.dtype)
        last = normalised(x[:, :, -1], self.nf, self.dtype)
        return torch.bmm(last, self.embedding.to(self.dtype).transpose(1, 2)).float()
