# SPDX-License-Identifier: Apache-2.0
"""Errors of this package's operators."""

from ascend_core.errors import AscendError

__all__ = ["OperatorArgumentError"]


class OperatorArgumentError(AscendError, ValueError):
    """Arguments of an operator do not fit.

    Parameters
    ----------
    operator
        Its name.
    problem
        What does not fit, and what would.
    """

    def __init__(self, operator: str, problem: str) -> None:
        super().__init__(operator, problem)
        self.operator = operator
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.operator}: {self.problem}"
