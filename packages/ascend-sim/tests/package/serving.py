# SPDX-License-Identifier: Apache-2.0
"""What a server runs on a device beside its model: ``serving.py``, on whichever chip there is.

Each function compares with PyTorch on the CPU, or with the mean that its numbers should have.
"""

import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu  # noqa: F401

__all__: list[str] = []

HALVES = (torch.float16, torch.bfloat16)


def near(actual: torch.Tensor, expected: torch.Tensor, limit: float = 2e-2) -> None:
    torch.testing.assert_close(actual.cpu().float(), expected.float(), rtol=limit, atol=limit)


def drawn() -> None:
    """Random numbers have their means, in and out of graphs, where every replay draws anew."""
    draws = {
        0.5: lambda t: t.exponential_(2.0),
        2.0: lambda t: t.uniform_(1, 3),
        3.0: lambda t: t.normal_(3, 2),
        0.3: lambda t: t.bernoulli_(0.3),
        4.5: lambda t: t.random_(0, 10),
        0.0: lambda t: t.copy_(torch.randn_like(t)),
        1.0: lambda t: t.copy_(F.dropout(torch.ones_like(t), 0.4)),
        49.5: lambda t: t.copy_(torch.randint(0, 100, t.shape, device="npu")),
    }
    captured = {0.5, 2.0, 3.0, 4.5, 1.0}
    for mean, draw in draws.items():
        numbers = torch.zeros(40000, device="npu")
        draw(numbers)
        near(numbers.mean(), torch.tensor(mean), 0.05)
        if mean not in captured:
            continue
        graph = torch.npu.NPUGraph()
        with torch.npu.graph(graph):
            draw(numbers)
        graph.replay()
        first = numbers.cpu()
        graph.replay()
        assert not torch.equal(first, numbers.cpu()), mean
        near(numbers.mean(), torch.tensor(mean), 0.05)
    for dtype in HALVES:
        numbers = torch.zeros(40000, dtype=dtype, device="npu").exponential_()
        near(numbers.float().mean(), torch.tensor(1.0), 0.05)


def sampled() -> None:
    """Tokens come by their probabilities, in the two ways that vLLM draws them."""
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    rows = probabilities.npu().expand(20000, 5)
    raced = (rows / torch.empty_like(rows).exponential_()).argmax(-1)
    one_by_one = torch.multinomial(rows, 1).squeeze(-1)
    for tokens in (raced, one_by_one):
        near(torch.bincount(tokens.cpu(), minlength=5) / 20000, probabilities)
    logits = torch.randn(3, 50)
    top, places = logits.npu().topk(7)
    assert torch.equal(top.cpu(), logits.topk(7).values)
    assert torch.equal(places.cpu(), logits.topk(7).indices)
    assert torch.equal(
        logits.npu().sort(descending=True).values.cpu(), logits.sort().values.flip(1)
    )
    assert torch.equal(logits.npu().argmax(-1).cpu(), logits.argmax(-1))
    near(logits.npu().log_softmax(-1), logits.log_softmax(-1), 1e-5)
    near(logits.npu().softmax(-1).cumsum(-1), logits.softmax(-1).cumsum(-1), 1e-5)


def computed() -> None:
    """Layers of a model."""
    for dtype in HALVES:
        x, weight, table = torch.randn(6, 64), torch.randn(48, 64), torch.randn(9, 64)
        x, weight, table = x.to(dtype), weight.to(dtype), table.to(dtype)
        tokens = torch.tensor([3, 0, 8])
        near(F.linear(x.npu(), weight.npu()), F.linear(x.float(), weight.float()), 8e-2)
        near(F.rms_norm(x.npu(), (64,)), F.rms_norm(x.float(), (64,)))
        near(F.embedding(tokens.npu(), table.npu()), table[tokens])
        near(F.silu(x.npu()), F.silu(x.float()))
        near(F.gelu(x.npu(), approximate="tanh"), F.gelu(x.float(), approximate="tanh"))


def attended() -> None:
    """Attention as torch spells it, with a mask, in groups, and dropping weights."""
    query, key = torch.randn(2, 4, 9, 64), torch.randn(2, 4, 9, 64)
    attention = F.scaled_dot_product_attention
    for dtype in HALVES:
        q, k = query.to(dtype), key.to(dtype)
        near(attention(q.npu(), k.npu(), k.npu()), attention(*(t.float() for t in (q, k, k))))
        causal = attention(q.npu(), k.npu(), k.npu(), is_causal=True)
        near(causal, attention(*(t.float() for t in (q, k, k)), is_causal=True))
        dropped = attention(q.npu(), k.npu(), torch.ones_like(k).npu(), dropout_p=0.2)
        assert not torch.equal(dropped, torch.ones_like(dropped))
        near(dropped.float().mean(), torch.tensor(1.0), 0.1)


def main() -> None:
    torch.manual_seed(0)
    torch.npu.manual_seed(0)
    for check in (drawn, sampled, computed, attended):
        check()
        torch.npu.synchronize()
    print("ok")


if __name__ == "__main__":
    main()
