# SPDX-License-Identifier: Apache-2.0
"""Tensors and events sent from one process to another by torch.multiprocessing."""

from collections.abc import Callable

import pytest

SENDER = """
    import torch
    import torch.multiprocessing as mp

    def receive(inbox, outbox):
        tensor, view, event = inbox.get()
        stream = torch.npu.Stream()
        with torch.npu.stream(stream):
            event.wait()
            total = (tensor.sum() + view.sum()).item()
        outbox.put((str(tensor.device), total, view.shape))
        tensor.add_(1)  # the same memory as the sender's
        torch.npu.synchronize()
        del tensor, view
        outbox.put(None)
        inbox.get()

    if __name__ == "__main__":
        context = mp.get_context("spawn")
        inbox, outbox = context.Queue(), context.Queue()
        process = context.Process(target=receive, args=(inbox, outbox), daemon=True)
        process.start()
        whole = torch.arange(600.0, device="npu")
        view = whole[100:400].view(30, 10)[::3]
        other = torch.full((5,), 2.0, device="npu")
        event = torch.npu.Event(interprocess=True)
        event.record()
        inbox.put((other, view, event))
        device, total, shape = outbox.get(timeout=120)
        assert (device, tuple(shape)) == ("npu:0", (10, 10))
        assert total == view.cpu().sum() + 10, total
        outbox.get(timeout=120)
        assert other.tolist() == [3.0] * 5
        inbox.put(None)
        process.join()
        assert process.exitcode == 0
"""


@pytest.mark.parametrize("segments", ["False", "True"])
def test_a_tensor_in_another_process_is_the_same_memory(program: Callable, segments: str) -> None:
    """Blocks go by key, expandable segments by a handle for each piece."""
    result = program(SENDER, PYTORCH_NPU_ALLOC_CONF=f"expandable_segments:{segments}")
    assert result.returncode == 0, result.stderr
