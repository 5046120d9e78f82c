# SPDX-License-Identifier: Apache-2.0
"""A task that fails: where it is told, by what name, and what is left of the device.

torch_npu launches from a queue of its own (TASK_QUEUE_ENABLE). What it does after an error there is
its own code and the same on a device: the first call that notices raises, the queue never runs
anything again, and only synchronizations go on raising.
"""

from collections.abc import Callable

import pytest

ATTEMPT = """
    import torch

    def attempt(name, function):
        try:
            function()
            print(name, "went well", flush=True)
        except RuntimeError as error:
            print(name, "raised", " ".join(str(error).split()), flush=True)

    x = torch.ones(4, 4, device="npu")
    wrong = torch.tensor([7], device="npu")
    torch.npu.synchronize()
"""


def lines(result) -> dict[str, str]:
    assert result.returncode == 0, result.stderr
    return dict(line.split(" ", 1) for line in result.stdout.splitlines())


def test_a_failed_kernel_is_told_by_name_at_every_later_synchronization(
    program: Callable,
) -> None:
    told = lines(
        program(
            ATTEMPT
            + """
    attempt("launch", lambda: x[wrong])
    attempt("synchronize", torch.npu.synchronize)
    attempt("copy", lambda: x.cpu())
    attempt("again", torch.npu.synchronize)
            """
        )
    )
    assert told["launch"] == "went well"
    assert "507015" in told["copy"]  # torch_npu asks for no more here
    for name in ("synchronize", "again"):
        assert told[name].startswith("raised")
        assert "a task of aclnnIndex failed on device 0: index 7 is out of bounds" in told[name]


@pytest.mark.parametrize("queue", ["0", "1"])
def test_a_launch_after_a_failed_kernel_names_the_kernel_that_failed(
    program: Callable, queue: str
) -> None:
    told = lines(
        program(
            ATTEMPT
            + """
    import time
    x[wrong]
    time.sleep(0.5)  # the device has failed
    attempt("launch", lambda: x + 1)
    attempt("synchronize", torch.npu.synchronize)
            """,
            TASK_QUEUE_ENABLE=queue,
        )
    )
    first = "launch" if queue == "0" else "synchronize"
    assert told[first].startswith("raised")
    assert "aclnnAdds" in told[first]  # what could not be launched
    assert "a task of aclnnIndex failed on device 0: index 7 is out of bounds" in told[first]


@pytest.mark.parametrize("queue", ["1", "2"])
def test_wrong_arguments_harm_nothing_but_their_call(program: Callable, queue: str) -> None:
    """With queue 2 arguments are looked at by the queue, which torch_npu does not use again."""
    result = program(
        ATTEMPT
        + """
    import torch_npu
    q = torch.ones(1, 4, 4, 16, device="npu").half()
    def call():
        torch_npu.npu_fused_infer_attention_score(q, q, q, num_heads=3, input_layout="BSND")
    attempt("call", call)
    attempt("synchronize", torch.npu.synchronize)
    y = x + 1
    attempt("later", torch.npu.synchronize)
    attempt("value", lambda: print("sum", y.sum().item()))
        """,
        TASK_QUEUE_ENABLE=queue,
    )
    told = lines(result)
    if queue != "2":
        assert "numHeads" in told["call"]
        assert "aclnnFusedInferAttentionScore" in told["call"]
        assert told["later"] == "went well"
        assert told["sum"] == "32.0"
        return
    assert "aclnnFusedInferAttentionScore" in told["synchronize"]
    assert "query's number of heads is not numHeads" in result.stderr


@pytest.mark.parametrize("blocking", ["0", "1"])
def test_what_a_kernel_refuses_is_told_once_and_harms_nothing_else(
    program: Callable, blocking: str
) -> None:
    told = lines(
        program(
            ATTEMPT
            + """
    attempt("call", wrong.acosh_)
    attempt("synchronize", torch.npu.synchronize)
    attempt("again", torch.npu.synchronize)
    attempt("value", lambda: print("sum", (x + 1).sum().item()))
            """,
            ASCEND_LAUNCH_BLOCKING=blocking,
        )
    )
    first, other = ("call", "synchronize") if blocking == "1" else ("synchronize", "call")
    assert told[first].startswith("raised")
    assert "161002" in told[first]
    assert "aclnnInplaceAcosh refused its arguments" in told[first]
    assert "Float can't be cast to the desired output type Long" in told[first]
    assert told[other] == told["again"] == "went well"
    assert told["sum"] == "32.0"
