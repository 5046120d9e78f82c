# SPDX-License-Identifier: Apache-2.0
"""The tests run on whatever libascendcl the real torch_npu finds; see the options of pytest."""

import time
from collections.abc import Callable, Iterator

import pytest
import torch
import torch_npu

from ascend_aclgraph import updatable

HEADS, HEAD_SIZE, BLOCK, BLOCKS = 2, 16, 16, 4


class Attention:
    """Paged attention of one new token per sequence, with its lengths on the host.

    `expected` computes it on the CPU with plain PyTorch: keys and values are gathered by hand.
    """

    name = "actual_seq_lengths_kv"

    def __init__(self, batch: int = 2) -> None:
        generator = torch.Generator().manual_seed(0)
        width = HEADS * HEAD_SIZE
        cache = (batch * BLOCKS, BLOCK, width)
        self.batch = batch
        self.query = torch.randn(batch, HEADS, HEAD_SIZE, generator=generator).npu()
        self.key = torch.randn(cache, generator=generator).npu()
        self.value = torch.randn(cache, generator=generator).npu()
        self.table = torch.arange(batch * BLOCKS, dtype=torch.int32).view(batch, BLOCKS).npu()

    def arguments(self, lengths: list[int], scale: float = 1.0) -> dict[str, object]:
        return {
            "query": self.query * scale,
            "key": self.key,
            "value": self.value,
            "block_table": self.table,
            "block_size": BLOCK,
            "input_layout": "TND",
            "actual_seq_lengths": list(range(1, self.batch + 1)),
            "actual_seq_lengths_kv": lengths,
            "num_heads": HEADS,
            "num_key_value_heads": HEADS,
            "scale": HEAD_SIZE**-0.5,
        }

    def __call__(self, lengths: list[int], scale: float = 1.0, **options: object) -> torch.Tensor:
        arguments = self.arguments(lengths, scale)
        workspace = torch_npu._npu_fused_infer_attention_score_get_max_workspace(**arguments)
        result = torch.empty_like(arguments["query"])
        updatable(
            torch_npu.npu_fused_infer_attention_score.out,
            **({"host_args": [self.name]} | options),
            workspace=workspace,
            out=[result, torch.empty(1, device="npu")],
            **arguments,
        )
        return result

    def layers(self, count: int, lengths: list[int]) -> Callable[[], list[torch.Tensor]]:
        """A function of `count` such operators, each with another query."""
        return lambda: [self(lengths, 1.0 + layer) for layer in range(count)]

    def expected(self, lengths: list[int], scale: float = 1.0) -> torch.Tensor:
        rows = []
        for row, length in enumerate(lengths):
            pages = self.table[row].cpu().long()
            shape = (-1, HEADS, HEAD_SIZE)
            keys = self.key.cpu()[pages].view(shape)[:length].transpose(0, 1)
            values = self.value.cpu()[pages].view(shape)[:length].transpose(0, 1)
            query = self.query.cpu()[row].unsqueeze(1) * scale
            weights = torch.softmax(query @ keys.transpose(1, 2) * HEAD_SIZE**-0.5, dim=-1)
            rows.append((weights @ values).squeeze(1))
        return torch.stack(rows)


class Gate:
    """Holds back a stream until it is opened: makes the host run ahead of the device for sure."""

    def __init__(self) -> None:
        self._event = torch.npu.ExternalEvent()
        self._opener = torch.npu.Stream()
        self._closed = False

    def close(self, stream: torch.npu.Stream | None = None) -> None:
        self._event.wait(stream or torch.npu.current_stream())
        self._closed = True

    def open(self) -> None:
        if self._closed:
            self._event.record(self._opener)
            self._closed = False


def finishes(stream: torch.npu.Stream | None = None, seconds: float = 20.0) -> bool:
    """Whether the work of a stream ends in time; asks, as waiting might take for ever."""
    event = torch.npu.Event()
    event.record(stream or torch.npu.current_stream())
    deadline = time.monotonic() + seconds
    while not event.query():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@pytest.fixture
def attention() -> Attention:
    return Attention()


@pytest.fixture
def gate(clean_device: None) -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture(name="finishes")
def finishes_fixture() -> Callable[..., bool]:
    return finishes


@pytest.fixture(autouse=True)
def clean_device() -> Iterator[None]:
    """Each test starts from, and leaves, a device that works and holds nothing."""
    torch.manual_seed(0)
    yield
    torch.npu.synchronize()
    assert not torch.npu.is_current_stream_capturing()
    torch.npu.empty_cache()
