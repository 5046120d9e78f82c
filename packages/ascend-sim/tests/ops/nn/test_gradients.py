# SPDX-License-Identifier: Apache-2.0
"""Gradients of functions whose backward pass has operators of its own, and a training program."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.oracle import assert_same, values, with_gradients
from torch import nn

ROWS = torch.tensor([0, 2, 2])
FUNCTIONS = {
    "softmax": lambda t: t.softmax(-1),
    "log_softmax": lambda t: t.log_softmax(0),
    "logsumexp": lambda t: t.logsumexp(-1),
    "index": lambda t: t[ROWS.to(t.device)],
    "index_select": lambda t: t.index_select(0, ROWS.to(t.device)),
    "gather": lambda t: t.gather(0, ROWS[:, None].expand(-1, 6).to(t.device)),
    "where": lambda t: torch.where(t > 0, t, 2 * t),
    "max": lambda t: t.max(1).values,
    "sort": lambda t: t.sort(1).values,
    "topk": lambda t: t.topk(2, 1).values,
    "cumsum": lambda t: t.cumsum(1),
    "cumprod": lambda t: t.cumprod(1),
    "norm": lambda t: t.norm(dim=1),
    "std": lambda t: t.std(1),
    "var": lambda t: t.var(0, correction=0),
    "pow": lambda t: (t.abs() + 0.5) ** 1.7,
    "clamp": lambda t: t.clamp(-0.3, 0.4),
    "erf": lambda t: t.erf() + t.tanh() * t.sin(),
    "unfold": lambda t: t.unfold(1, 3, 2),
    "repeat": lambda t: t.repeat_interleave(2, 0),
    "repeat each": lambda t: t.repeat_interleave(torch.tensor([1, 2, 0, 3]).to(t.device), 0),
    "reflected": lambda t: F.pad(t[None], (1, 2), mode="reflect"),
    "reflected plane": lambda t: F.pad(t[None, None], (1, 2, 3, 0), mode="reflect"),
    "reflected volume": lambda t: F.pad(t.view(1, 2, 3, 2, 2), (1, 0, 0, 1, 2, 1), mode="reflect"),
    "replicated line": lambda t: F.pad(t[None], (1, 2), mode="replicate"),
    "replicated": lambda t: F.pad(t[None, None], (1, 2, 1, 1), mode="replicate"),
    "replicated volume": lambda t: F.pad(
        t.view(1, 2, 3, 2, 2), (1, 0, 3, 1, 2, 0), mode="replicate"
    ),
    "circular": lambda t: F.pad(t[None], (1, 2), mode="circular"),
    "pixel_shuffle": lambda t: F.pixel_shuffle(t.view(1, 4, 2, 3), 2),
    "channel_shuffle": lambda t: t + F.channel_shuffle(t.detach().view(1, 4, 2, 3), 2).view(4, 6),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_equals_cpu(name):
    assert_same(with_gradients(FUNCTIONS[name]), values(4, 6), scale=4)


@pytest.mark.parametrize("function", [torch.matmul, torch.bmm, torch.baddbmm, F.linear])
def test_gradients_of_products_equal_cpu(function):
    shapes = {
        torch.matmul: [(2, 3, 4), (4, 5)],
        torch.bmm: [(2, 3, 4), (2, 4, 5)],
        torch.baddbmm: [(2, 3, 5), (2, 3, 4), (2, 4, 5)],
        F.linear: [(2, 3, 4), (5, 4), (5,)],
    }[function]
    operands = [values(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert_same(with_gradients(function), *operands, scale=4)


class TinyLanguageModel(nn.Module):
    """Embedding, attention by hand, a gated MLP, norms, and a tied head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(17, 16)
        self.norms = nn.ModuleList([nn.LayerNorm(16), nn.RMSNorm(16)])
        self.attention = nn.Linear(16, 48)
        self.gate, self.down = nn.Linear(16, 64, bias=False), nn.Linear(32, 16)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        x = self.embedding(tokens)
        query, key, value = self.attention(self.norms[0](x)).chunk(3, -1)
        scores = query @ key.transpose(-1, -2) / 4
        hidden = torch.ones_like(scores, dtype=torch.bool).triu(1)
        x = x + scores.masked_fill(hidden, -torch.inf).softmax(-1) @ value
        left, right = self.gate(self.norms[1](x)).chunk(2, -1)
        x = x + self.down(F.silu(left) * right)
        return x @ self.embedding.weight.t()


def test_training_takes_the_same_course_as_on_the_cpu():
    tokens = torch.randint(0, 17, (4, 9), generator=torch.Generator().manual_seed(0))

    def train(device: str) -> list[float]:
        torch.manual_seed(0)
        model, data = TinyLanguageModel().to(device), tokens.to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(6):
            optimizer.zero_grad()
            logits = model(data[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), data[:, 1:].flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        return losses

    expected = train("cpu")
    assert expected[-1] < 0.8 * expected[0]
    assert train("npu") == pytest.approx(expected, rel=1e-3)
