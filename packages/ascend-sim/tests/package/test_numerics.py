# SPDX-License-Identifier: Apache-2.0
"""`numerics=npu`: products round as a device's matrix unit does, where that is documented.

HF32 has 11 bits of mantissa where float32 has 23 (CANN, option allow_hf32), and the public matrix
kernels round to it to nearest, halves towards zero (SetHF32TransMode.md).
"""

import json
import math
import subprocess
import sys

import pytest

ULP = 2.0**-11
"""Of HF32 at 1."""

NUMBERS = {
    "a number of 11 bits stays": (1 + ULP, 1 + ULP),
    "below a half rounds down": (1 + 0.25 * ULP, 1.0),
    "a half rounds towards zero": (1 + 0.5 * ULP, 1.0),
    "a half after an odd number, too": (1 + 1.5 * ULP, 1 + ULP),
    "above a half rounds up": (1 + 0.75 * ULP, 1 + ULP),
    "a half below zero rounds up": (-1 - 0.5 * ULP, -1.0),
    "infinity stays": (math.inf, math.inf),
    "the range is that of float32": (2.0**127, 2.0**127),
}
FINE = 1 + ULP / 4
LARGE = 1e6

PROGRAM = """
import ascend_sim
ascend_sim.activate(ascend_sim.SimConfig(numerics="{numerics}"))
import json
import torch
import torch_npu

def product(number, dtype=torch.float32):
    column = torch.full((1, 1), number, dtype=dtype, device="npu")
    return (column @ torch.ones(1, 1, dtype=dtype, device="npu")).item()

def convolved(number):
    image = torch.full((1, 1, 1, 1), number, device="npu")
    return torch.conv2d(image, torch.ones(1, 1, 1, 1, device="npu")).item()

results = {{"default product": product({fine}), "default convolution": convolved({fine})}}
torch.npu.matmul.allow_hf32 = True
numbers = json.loads("{numbers}")
results["product"] = [product(number) for number in numbers]
results["convolution"] = [convolved(number) for number in numbers]
results["half precision"] = product(1 + 2.0**-10, torch.float16)
torch.npu.conv.allow_hf32 = False
results["exact convolution"] = convolved({fine})
torch.npu.matmul.cube_math_type = torch.npu.CubeMathType.USE_FP16
results["fp16 product"] = [product({fine}), product({large})]
print(json.dumps(results))
"""


def run(numerics: str) -> dict:
    numbers = json.dumps([number for number, _ in NUMBERS.values()])
    program = PROGRAM.format(numerics=numerics, fine=FINE, large=LARGE, numbers=numbers)
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def npu() -> dict:
    """Results with numerics=npu."""
    return run("npu")


@pytest.mark.parametrize("unit", ["product", "convolution"])
@pytest.mark.parametrize("rule", NUMBERS)
def test_hf32_rounds_operands_to_eleven_bits(npu, unit, rule) -> None:
    result = dict(zip(NUMBERS, npu[unit], strict=True))
    assert result[rule] == NUMBERS[rule][1]


def test_products_keep_float32_unless_asked(npu) -> None:
    assert npu["default product"] == FINE  # matmul-allow_hf32.md: False by default


def test_convolutions_use_hf32_unless_told_not_to(npu) -> None:
    assert npu["default convolution"] == 1.0  # conv-allow_hf32.md: True by default
    assert npu["exact convolution"] == FINE


def test_use_fp16_rounds_operands_to_half_precision(npu) -> None:
    assert npu["fp16 product"] == [1.0, math.inf]  # aclnnMm.md, cubeMathType 2


def test_operands_in_half_precision_are_not_touched(npu) -> None:
    assert npu["half precision"] == 1 + 2.0**-10


def test_exact_numerics_round_nothing() -> None:
    exact = run("exact")
    assert exact["default convolution"] == FINE
    assert exact["fp16 product"] == [FINE, LARGE]
    assert exact["product"] == [number for number, _ in NUMBERS.values()]
