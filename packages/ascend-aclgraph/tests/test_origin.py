# SPDX-License-Identifier: Apache-2.0
"""A capture that fails in the captured code says where."""

import inspect
import pickle

import pytest
import torch

from ascend_aclgraph import CaptureError, CaptureOptions, Graph

WAITS = [
    ("x.sum().item()", lambda x: x.sum().item()),
    ("x.cpu()", lambda x: x.cpu()),
    ("x.tolist()", lambda x: x.tolist()),
    ("x.nonzero()", lambda x: x.nonzero()),
    ("x[x > 2]", lambda x: x[x > 2]),
    ("bool(x.any())", lambda x: bool(x.any())),
    ('torch.ones(4).to("npu")', lambda x: x + torch.ones(4).to("npu")),
    ("torch.npu.synchronize()", lambda x: torch.npu.synchronize()),
]


def failed_capture(function):
    with pytest.raises(CaptureError) as caught:
        Graph.capture(function, options=CaptureOptions(warmup=0))
    return caught.value


class Model(torch.nn.Module):
    def forward(self, x):
        return self.large(x).sum()

    def large(self, x):
        return x[
            x > 2
        ]  # fmt: skip


@pytest.mark.parametrize(("expression", "wait"), WAITS, ids=[text for text, _ in WAITS])
def test_what_waits_for_the_device_is_named_with_its_line(expression, wait):
    # Given a function that waits in its only line
    line = inspect.getsourcelines(wait)[1]
    # When it is captured
    error = failed_capture(lambda: wait(torch.ones(4, device="npu")))
    # Then the error has the line and the expression, and says both
    assert error.origin == f"{__file__}:{line}, in <lambda>: `{expression}`"
    assert f"At: {error.origin}" in str(error)


def test_of_calls_within_calls_the_innermost_of_the_model_counts():
    model, x = Model(), torch.ones(4, device="npu")
    error = failed_capture(lambda: model(x))
    assert error.origin.endswith(", in large: `x[ x > 2 ]`")


def test_an_error_raised_for_another_one_leads_to_that_one():
    def rephrase():
        try:
            torch.ones(4, device="npu").tolist()
        except RuntimeError as error:
            raise ValueError("no list") from error

    assert failed_capture(rephrase).origin.endswith('`torch.ones(4, device="npu").tolist()`')


def test_a_warm_up_that_fails_says_where():
    def fail():
        raise ValueError("bad shape")

    with pytest.raises(CaptureError, match="warm-up") as caught:
        Graph.capture(fail)
    assert caught.value.origin.endswith('in fail: `raise ValueError("bad shape")`')


def test_a_capture_that_fails_outside_of_the_captured_code_names_no_place():
    error = failed_capture(torch.npu.synchronize)
    assert error.code == 107027
    assert error.origin == ""
    assert "At:" not in str(error)


def test_the_place_survives_pickling():
    error = failed_capture(lambda: torch.ones(4, device="npu").cpu())
    assert pickle.loads(pickle.dumps(error)).origin == error.origin
