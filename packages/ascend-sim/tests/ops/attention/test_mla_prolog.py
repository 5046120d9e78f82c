# SPDX-License-Identifier: Apache-2.0
"""What comes before multi-head latent attention, at the sizes that a device takes.

Its numbers are tested in `test_mla_prolog_numbers.py`, at small sizes.
"""

import pytest
import torch
import torch_npu

pytestmark = pytest.mark.usefixtures("internal_formats")

BF16 = torch.bfloat16
NZ = 29
SIZES = {"he": 6144, "hcq": 1536, "n": 2, "d": 128, "hckv": 512, "dr": 64, "block": 16, "s": None}


def _prolog(fractal=True, **sizes):
    """Run it on ones and zeros; the sizes are named as in the documentation."""
    s = SIZES | sizes
    tokens = (2,) if s["s"] is None else (1, s["s"])

    def ones(*shape):
        return torch.ones(*shape, dtype=BF16, device="npu")

    def weight(*shape):
        return torch_npu.npu_format_cast(ones(*shape), NZ) if fractal else ones(*shape)

    caches = [ones(2, s["block"], 1, size) for size in (s["hckv"], s["dr"])]
    result = torch_npu.npu_mla_prolog_v2(
        ones(*tokens, s["he"]) / s["he"],
        weight(s["he"], s["hcq"]),
        weight(s["hcq"], s["n"] * (s["d"] + s["dr"])),
        ones(s["n"], s["d"], s["hckv"]) / s["d"],
        weight(s["he"], s["hckv"] + s["dr"]),
        ones(s["hcq"]) / s["hcq"],
        ones(s["hckv"]),
        ones(*tokens, s["dr"]) * 0,
        ones(*tokens, s["dr"]),
        torch.arange(torch.Size(tokens).numel(), device="npu").view(tokens),
        *caches,
    )
    torch.npu.synchronize()
    return result, caches


def test_ones_stay_ones():
    (query, query_rope, *_), caches = _prolog()
    for tensor in (query, query_rope, *(cache[0, :2] for cache in caches)):
        torch.testing.assert_close(tensor.cpu(), torch.ones_like(tensor.cpu()))


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"he": 5120}, "He must be 6144, 7168 or 7680, got 5120"),
        ({"hcq": 512}, "Hcq must be 1536, got 512"),
        ({"n": 3}, "N must be a power of two up to 128, got 3"),
        ({"d": 64}, "D must be 128, got 64"),
        ({"hckv": 256}, "Hckv must be 512, got 256"),
        ({"dr": 32}, "Dr must be 64, got 32"),
        ({"block": 32}, "BlockSize must be 16 or 128, got 32"),
        ({"s": 17}, "S must be at most 16, got 17"),
        ({"fractal": False}, "weightDq must be in format FRACTAL_NZ"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_sizes_are_refused(sizes, text):
    """Sources: `npu_mla_prolog_v2.md`, and `aclnnMlaPrologV3WeightNz.md` for He."""
    with pytest.raises(RuntimeError, match=text) as error:
        _prolog(**sizes)
    assert "`--limits off` lifts it" in str(error.value)
