# SPDX-License-Identifier: Apache-2.0
"""Where the inputs of a graph lie: it reads the addresses of its capture, whatever it is given."""

from collections.abc import Iterable

import torch

from ascend_aclgraph.errors import GraphInputError

__all__ = ["InputAddresses"]


class InputAddresses:
    """Addresses of tensors, to notice a replay that is given others.

    Parameters
    ----------
    inputs
        Of the capture; what is no tensor is passed over.
    """

    def __init__(self, inputs: Iterable[object]) -> None:
        self._addresses = _addresses(inputs)

    def check(self, inputs: Iterable[object], graph: str) -> None:
        """Compare with the inputs of a replay.

        Parameters
        ----------
        inputs
            In the order of those of the capture.
        graph
            What to call the graph in the error.

        Raises
        ------
        GraphInputError
            If a tensor lies elsewhere.
        """
        given = _addresses(inputs)
        if given != self._addresses:
            raise GraphInputError(
                f"{graph} reads its inputs at {_hexadecimal(self._addresses)}, but was called with "
                f"tensors at {_hexadecimal(given)}: copy them into those that were captured."
            )


def _addresses(inputs: Iterable[object]) -> list[int]:
    return [each.data_ptr() for each in inputs if isinstance(each, torch.Tensor)]


def _hexadecimal(addresses: list[int]) -> str:
    return ", ".join(map(hex, addresses))
