# SPDX-License-Identifier: Apache-2.0
"""Why xlite cannot be used: not there, not for this model, or not in this way."""

from ascend_core import AscendError, OptionError

__all__ = [
    "XliteClosedError",
    "XliteRankError",
    "XliteReplacedWeightError",
    "XliteStepError",
    "XliteUnavailableError",
    "XliteUnsupportedError",
    "XliteWeightError",
]

_OFF = "or set xlite_graph_config.enabled to false"


class XliteUnavailableError(AscendError, ImportError):
    """The xlite library is not installed, or does not fit this machine, Python, chip or torch.

    Parameters
    ----------
    reason
        What is missing, or does not fit.
    remedy
        What to do about it, as a command where there is one.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"xlite cannot be used: {self.reason}. {self.remedy}, {_OFF}."


class XliteUnsupportedError(AscendError, ValueError):
    """The model, or the way it is to be run, is beyond what xlite computes correctly.

    Parameters
    ----------
    problems
        One error per option that does not fit.
    """

    def __init__(self, problems: tuple[OptionError, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        return (
            f"xlite cannot run this model as configured:\n{listed}\n"
            "Change these, or set xlite_graph_config.enabled to false."
        )


class XliteWeightError(AscendError, ValueError):
    """A tensor that would be handed to xlite is not what the engine would take it for.

    The engine itself checks little more than how many tensors there are.

    Parameters
    ----------
    tensor
        What it is: the engine's name, and the module's path.
    problem
        What is wrong, and what was expected.
    """

    def __init__(self, tensor: str, problem: str) -> None:
        super().__init__(tensor, problem)
        self.tensor = tensor
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"{self.tensor}: {self.problem}. The model was loaded in a form that xlite cannot "
            f"take; load it as the checkpoint's authors do, {_OFF}."
        )


class XliteReplacedWeightError(AscendError, RuntimeError):
    """A decoder has another tensor than the one that was handed to xlite.

    Parameters
    ----------
    tensor
        The engine's name of it.
    """

    def __init__(self, tensor: str) -> None:
        super().__init__(tensor)
        self.tensor = tensor

    def __str__(self) -> str:
        return (
            f"{self.tensor}: the model has another tensor now, and xlite still reads the one that "
            "it was given. Load weights into the tensors that are there, or start the engine again."
        )


class XliteStepError(AscendError, ValueError):
    """The inputs of a step do not fit each other, the model, or the engine's limits.

    Parameters
    ----------
    what
        Name of the input.
    problem
        What is wrong, and what was expected.
    """

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(what, problem)
        self.what = what
        self.problem = problem

    def __str__(self) -> str:
        return f"a step of xlite has a wrong {self.what}: {self.problem}."


class XliteRankError(AscendError, RuntimeError):
    """Another rank of xlite has ended, or does not end its steps.

    Parameters
    ----------
    reason
        What the communication between the ranks says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"another rank of xlite did not end its steps ({self.reason}). It may wait for this "
            "one for ever: see what it logged last, and end its process."
        )


class XliteClosedError(AscendError, RuntimeError):
    """The model was closed and cannot compute any more."""

    def __str__(self) -> str:
        return "this xlite model is closed. Make another one with XliteModel.create."
