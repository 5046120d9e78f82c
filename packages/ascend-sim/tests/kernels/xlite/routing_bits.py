# SPDX-License-Identifier: Apache-2.0
"""Routing maps: a bit for each token and expert."""

import torch

__all__ = ["bits_of"]


def bits_of(chosen: torch.Tensor) -> torch.Tensor:
    """Pack booleans, the first in the lowest bit."""
    flat = torch.nn.functional.pad(chosen.flatten().int(), (0, -chosen.numel() % 8)).view(-1, 8)
    return (flat << torch.arange(8)).sum(-1).to(torch.uint8)
