# SPDX-License-Identifier: Apache-2.0
"""The versions the packages work with: the only place they are written in Python."""

from dataclasses import dataclass

__all__ = ["BOUNDS", "PYTHON_FLOOR", "TESTED", "Bound", "Row"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Accepted versions of one distribution: floor <= version < below.

    Parameters
    ----------
    distribution
        Name on the package index.
    floor, below
        Dotted release numbers.
    """

    distribution: str
    floor: str
    below: str

    @property
    def requirement(self) -> str:
        """The same as pip writes it."""
        return f"{self.distribution}>={self.floor},<{self.below}"


@dataclass(frozen=True, slots=True)
class Row:
    """One combination that was tested."""

    python: str
    torch: str
    torch_npu: str
    vllm: str


PYTHON_FLOOR = (3, 11)

BOUNDS: dict[str, Bound] = {
    bound.distribution: bound
    for bound in (
        Bound("torch", "2.13.0", "2.14"),
        # torch_npu is built against one minor version of torch: their bounds move together.
        Bound("torch_npu", "2.13.0", "2.14"),
        # The plugin touches private parts of vLLM, which are compared for each minor version
        # (docs/design/moving-to-a-new-vllm.md) before it is let in.
        Bound("vllm", "0.32.0", "0.34"),
    )
}

TESTED = (
    Row(python="3.11", torch="2.13.0", torch_npu="2.13.0", vllm="0.32.0"),
    Row(python="3.11", torch="2.13.0", torch_npu="2.13.0", vllm="0.33.0"),
)
