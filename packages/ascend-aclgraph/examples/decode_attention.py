# SPDX-License-Identifier: Apache-2.0
"""A decode loop over paged attention in one graph, where each step has longer sequences.

The attention operator reads the lengths of the sequences on the host, so a captured one would
repeat those of its capture: it is called through `updatable`, and each replay brings new lengths.
The host never waits for the device within the loop.

Run it on an NPU, or without one as `ascend-sim run -- python examples/decode_attention.py`.
"""

import argparse

import torch
import torch_npu

from ascend_aclgraph import Graph, updatable

HEADS, HEAD_SIZE, BLOCK = 4, 128, 16
DTYPE = torch.bfloat16  # attention takes no fp32


class Decoder:
    """Attention layers with a paged cache of keys and values, and the inputs of one decode step."""

    def __init__(self, layers: int, batch: int, blocks_per_sequence: int) -> None:
        width = HEADS * HEAD_SIZE
        blocks = batch * blocks_per_sequence
        weights = torch.randn(layers, width, 3 * width, device="npu") / width**0.5
        self.weights = weights.to(DTYPE)
        self.cache = torch.zeros(layers, 2, blocks * BLOCK, width, dtype=DTYPE, device="npu")
        table = torch.arange(blocks, dtype=torch.int32).view(batch, blocks_per_sequence)
        self.block_table = table.npu()
        self.first_slots = self.block_table[:, 0].long() * BLOCK
        self.hidden = torch.randn(batch, width, device="npu").to(DTYPE)
        self.slots = self.first_slots.clone()

    def step(self, lengths: list[int]) -> torch.Tensor:
        """Decode one token of each sequence; `lengths` count it. Overwrites `hidden`."""
        x = self.hidden
        for weight, cache in zip(self.weights, self.cache, strict=True):
            query, key, value = (x @ weight).chunk(3, dim=-1)
            cache[0].index_copy_(0, self.slots, key)
            cache[1].index_copy_(0, self.slots, value)
            x = torch.tanh(x + self._attend(query, *cache, lengths))
        return self.hidden.copy_(x)

    def _attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, lengths: list[int]
    ) -> torch.Tensor:
        batch = query.shape[0]
        arguments = {
            # The kernel takes no view: this one is a third of the rows of `x @ weight`.
            "query": query.contiguous().view(batch, HEADS, HEAD_SIZE),
            "key": keys.view(-1, BLOCK, HEADS * HEAD_SIZE),
            "value": values.view(-1, BLOCK, HEADS * HEAD_SIZE),
            "block_table": self.block_table,
            "block_size": BLOCK,
            "input_layout": "TND",
            "actual_seq_lengths": list(range(1, batch + 1)),
            "actual_seq_lengths_kv": lengths,
            "num_heads": HEADS,
            "num_key_value_heads": HEADS,
            "scale": HEAD_SIZE**-0.5,
        }
        get_workspace = torch_npu._npu_fused_infer_attention_score_get_max_workspace
        attended = torch.empty_like(arguments["query"])
        updatable(
            torch_npu.npu_fused_infer_attention_score.out,
            host_args=["actual_seq_lengths_kv"],
            workspace=get_workspace(**arguments),
            out=[attended, torch.empty(1, dtype=query.dtype, device=query.device)],
            **arguments,
        )
        return attended.view(batch, -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()

    torch.manual_seed(0)
    decoder = Decoder(options.layers, options.batch, blocks_per_sequence=options.steps // BLOCK + 1)
    start = decoder.hidden.clone()

    expected = []
    for step in range(options.steps):
        decoder.slots.copy_(decoder.first_slots + step)
        expected.append(decoder.step([step + 1] * options.batch).clone())

    decoder.cache.zero_()
    with torch.no_grad(), Graph.capture(lambda: decoder.step([1] * options.batch)) as graph:
        decoder.cache.zero_()
        decoder.hidden.copy_(start)
        replayed = []
        for step in range(options.steps):
            decoder.slots.copy_(decoder.first_slots + step)
            lengths = [step + 1] * options.batch
            replayed.append(graph.replay({"actual_seq_lengths_kv": lengths}).clone())
        torch.testing.assert_close(torch.stack(replayed), torch.stack(expected))
        print(
            f"{options.steps} steps, {len(graph.records)} attention tasks updated in each: "
            "the graph and eager mode agree"
        )


if __name__ == "__main__":
    main()
