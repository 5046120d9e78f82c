# SPDX-License-Identifier: Apache-2.0
"""torch.compile with the backends that need no kernels of their own."""

import pytest
import torch

import ascend_sim

pytestmark = [
    # Of torch_npu's and torch's own code.
    pytest.mark.filterwarnings("ignore:.*inline_inbuilt_nn_modules.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def model(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.silu(x @ weight + 1) * x.sum(-1, keepdim=True)


@pytest.mark.parametrize("backend", ["eager", "npugraphs", "npugraph_ex"])
def test_compiled_code_gives_the_same_numbers_for_each_new_input(backend: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=False)
    weight = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    before = ascend_sim.counters()
    with torch.inference_mode():
        on_npu = weight.npu()
        for seed in range(4):
            x = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
            torch.testing.assert_close(compiled(x.npu(), on_npu).cpu(), model(x, weight))
    after = ascend_sim.counters()
    replays = after["graph_executions"] - before["graph_executions"]
    assert (replays > 0) == (backend != "eager")
