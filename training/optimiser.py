"""Optimisers over the ensemble: AdamW, and Muon for the weight matrices.

Muon replaces the momentum of each matrix by the nearest orthogonal one (Jordan et al. 2024),
scaled as Liu et al. (2025) do, so that one learning rate serves both.
"""

import torch
from torch import Tensor

from training.model import Ensemble


@torch.no_grad()
def orthogonalised(g: Tensor, steps: int = 5) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns, for each of a batch."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16() if g.is_cuda else g
    wide = x.shape[-1] >= x.shape[-2]
    if not wide:
        x = x.transpose(-2, -1)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(-2, -1)
        x = a * x + (b * gram + c * gram @ gram) @ x
    if not wide:
        x = x.transpose(-2, -1)
    result: Tensor = x.to(g.dtype)
    return result


class Optimiser:
    """Steps of all models at once.

    Args:
        net: the models.
        muon: whether matrices move by Muon; everything else moves by AdamW.
        decay: weight decay.
    """

    def __init__(self, net: Ensemble, muon: bool, decay: float = 0.02) -> None:
        self._decay = decay
        # (parameter, number of square-ish matrices that lie side by side in it)
        self._matrices: list[tuple[Tensor, int]] = []
        if muon:
            for i in range(net.shape.layers):
                gate_and_up = 2
                self._matrices += [
                    (net.wqkv[i], 3),
                    (net.wo[i], 1),
                    (net.wgu[i], gate_and_up),
                    (net.wd[i], 1),
                ]
        own = {id(p) for p, _ in self._matrices}
        rest = [p for p in net.parameters() if id(p) not in own]
        self._adam = torch.optim.AdamW(
            rest, lr=1e-3, betas=(0.9, 0.98), weight_decay=decay, fused=rest[0].is_cuda
        )
        self._momentum = [torch.zeros_like(p) for p, _ in self._matrices]
        self._all = list(net.parameters())

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move by the gradients, and forget them."""
        torch.nn.utils.clip_grad_norm_(self._all, 1.0 * len(self._all[0]))
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        if self._matrices:
            self._step_matrices(rate)
        for p in self._all:
            p.grad = None

    def _step_matrices(self, rate: float) -> None:
        params = [p for p, _ in self._matrices]
        grads = [p.grad for p in params if p.grad is not None]
        torch._foreach_mul_(self._momentum, 0.95)
        torch._foreach_add_(self._momentum, grads)
        updates = torch._foreach_add(grads, self._momentum, alpha=0.95)
        torch._foreach_mul_(params, 1 - rate * self._decay)
        by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        for (p, parts), update in zip(self._matrices, updates, strict=True):
            for target, u in zip(p.chunk(parts, -1), update.chunk(parts, -1), strict=True):
                by_shape.setdefault((u.shape[-2], u.shape[-1]), []).append((target, u))
        for shape, pairs in by_shape.items():
            moved = orthogonalised(torch.cat([u for _, u in pairs]))
            moved = moved * (-rate * 0.2 * max(shape) ** 0.5)
            torch._foreach_add_([target for target, _ in pairs], list(moved.chunk(len(pairs))))
