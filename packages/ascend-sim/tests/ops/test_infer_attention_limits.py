# SPDX-License-Identifier: Apache-2.0
"""Fused attention of inference is no more permissive than that of a device."""

import pytest
import torch
from _attention import assert_near, over_pages
from _infer_limits import REFUSED, TAKEN


@pytest.mark.parametrize("call", TAKEN, ids=lambda call: call.name)
def test_what_a_device_takes_is_taken(call):
    call.run()


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: call.name)
def test_what_a_device_refuses_is_refused(call):
    with pytest.raises(RuntimeError, match=call.text) as error:
        call.run()
    assert "`--limits off` lifts it" in str(error.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sizes_of_a_device_are_computed_right(dtype):
    (actual, _), (expected, _) = over_pages(
        [1, 70, 3], [40, 90, 3], heads=(8, 2), size=128, block=128, dtype=dtype
    )
    assert_near(actual, expected)
