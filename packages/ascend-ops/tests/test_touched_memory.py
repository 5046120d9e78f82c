# SPDX-License-Identifier: Apache-2.0
"""The observer of touched memory: what it keeps alive, what it calls made and written."""

import gc
import weakref

import numpy as np
import pytest
import torch

import ascend_ops


class Observed:
    """Observes within a with block."""

    def __init__(self):
        self.memory = ascend_ops.touched_memory()

    def __enter__(self):
        self.memory.start()
        return self.memory

    def __exit__(self, *_):
        self.memory.stop()


def address(tensor):
    return tensor.untyped_storage().data_ptr()


def test_what_existed_before_is_kept_and_what_was_made_is_not():
    x, untouched = torch.ones(4), torch.ones(4)
    with Observed() as memory:
        y = (x * 2).add_(1)
    assert memory.kept() == [address(x)]
    assert address(y) not in memory.kept()
    assert address(untouched) not in memory.kept()


def test_tensors_in_lists_and_views_are_seen():
    parts = [torch.ones(4), torch.ones(4)]
    base = torch.ones(8)
    with Observed() as memory:
        torch.cat(parts)
        base[2:4].sum()
    assert set(memory.kept()) == {address(tensor) for tensor in (*parts, base)}


def test_kept_memory_lives_until_it_is_dropped():
    array = np.ones(4)
    x = torch.from_numpy(array)
    alive = weakref.ref(array)
    with Observed() as memory:
        x + 1
    del x, array
    gc.collect()
    assert alive() is not None
    memory.drop(memory.kept())
    assert alive() is None


def test_what_an_operator_reaches_for_is_kept():
    library = torch.library.Library("touched_memory_test", "FRAGMENT")
    library.define("add_hidden(Tensor x) -> Tensor")
    hidden = torch.ones(4)
    library.impl("add_hidden", lambda x: x + hidden, "CompositeExplicitAutograd")
    x = torch.ones(4)
    with Observed() as memory:
        torch.ops.touched_memory_test.add_hidden(x)
    assert set(memory.kept()) == {address(x), address(hidden)}


def test_scratch_memory_of_an_operator_is_not_kept():
    def scratch(x: torch.Tensor) -> torch.Tensor:
        return torch.frombuffer(bytearray(16), dtype=torch.float32).add_(x)  # made unseen

    op = torch.library.custom_op("touched_memory_test::scratch", scratch, mutates_args=())
    x = torch.ones(4)
    with Observed() as memory:
        op(x)
    assert memory.kept() == [address(x)]


def test_written_memory_is_what_schemas_declare():
    written, read, out = torch.ones(4), torch.ones(4), torch.zeros(4)
    with Observed() as memory:
        written[1:].add_(read[1:])
        torch.mul(read, 2, out=out)
    assert memory.wrote(written)
    assert memory.wrote(out)
    assert not memory.wrote(read)


def test_a_profiler_sees_what_operators_call_meanwhile():
    x, weight = torch.ones(4, 4), torch.ones(4, 4)
    with torch.autograd.profiler.profile() as profiler, Observed():
        for _ in range(3):  # from the second call on, the observer itself looks away
            torch.layer_norm(x, (4,))
            torch.nn.functional.linear(x, weight)
    calls = [event.name for event in profiler.function_events]
    assert calls.count("aten::native_layer_norm") == 3
    assert calls.count("aten::t") == 3


@pytest.mark.npu
def test_made_device_memory_is_reported_once(npu):
    x = torch.ones(4, device=npu)
    with Observed() as memory:
        y = x + 1
        assert memory.take_made() == [address(y)]
        z = y + torch.ones(4).sum().item()
        assert memory.take_made() == [address(z)]
    assert memory.take_made() == []


def test_a_thread_has_one_observer():
    with Observed(), pytest.raises(RuntimeError, match="observed already"):
        ascend_ops.touched_memory().start()
    with Observed():
        pass


def test_stop_without_start_does_nothing():
    ascend_ops.touched_memory().stop()
