# SPDX-License-Identifier: Apache-2.0
"""Why xlite cannot be used: not there, or not for this model."""

from ascend_core import AscendError, OptionError

__all__ = ["XliteEngineMissingError", "XliteUnavailableError", "XliteUnsupportedError"]


class XliteUnavailableError(AscendError, ImportError):
    """The xlite library is not installed, or cannot be on this machine.

    Parameters
    ----------
    reason
        What is missing.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"xlite cannot be used: {self.reason}. Its only wheel is for Linux on aarch64: there, "
            '`pip install "ascend-xlite-bridge[xlite]"`; elsewhere set xlite_graph_config.enabled '
            "to false."
        )


class XliteEngineMissingError(XliteUnavailableError):
    """The engine is not in this version of the bridge, which only checks options."""

    def __init__(self) -> None:
        super().__init__("the engine is not in this version of ascend-xlite-bridge")
        self.args = ()

    def __str__(self) -> str:
        return (
            f"{self.reason}: it checks xlite_graph_config, but cannot run a model yet. Set "
            "xlite_graph_config.enabled to false, or leave the option out, to use ACL graphs."
        )


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
