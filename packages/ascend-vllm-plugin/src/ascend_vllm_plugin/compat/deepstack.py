# SPDX-License-Identifier: Apache-2.0
"""Features of images that a model adds to the output of its first layers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["deepstack_of"]


@contextmanager
def deepstack_of(model: Any, num_tokens: int) -> Iterator[Sequence[torch.Tensor]]:
    """Lend the features of a step, which are zeros afterwards, as after the model's own forward.

    Reason: the model keeps them in buffers of its own from the embedding of the inputs to its
    forward, which is left out if another engine runs the decoder.
    Goes when: they are inputs of the model.

    Parameters
    ----------
    model
        A module with or without such features.
    num_tokens
        Of the step, without padding.

    Yields
    ------
    sequence of torch.Tensor
        Of each of the first layers, ``[num_tokens, hidden_size]``; empty in a step without images.
    """
    if not getattr(model, "deepstack_input_embeds_num_tokens", 0):
        yield ()
        return
    yield [features[:num_tokens] for features in model.deepstack_input_embeds]
    model._clear_deepstack_input_embeds(num_tokens)
