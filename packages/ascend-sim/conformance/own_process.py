# SPDX-License-Identifier: Apache-2.0
"""Tests whose body runs in a process of its own, since a process has one configuration."""

import functools
import inspect
import json
from collections.abc import Callable, Sequence

__all__ = ["own_process"]

Test = Callable[..., None]


def own_process(
    *, device: bool = True, parameters: Sequence[str] = (), **config: object
) -> Callable[[Test], Test]:
    """Let the body of a test run in a new process, with a configuration of the simulator.

    The test takes ``acl`` and its parametrized values, which Python can read back from their
    ``repr``. It is skipped where there is a configuration and the library is not the simulator's.

    Parameters
    ----------
    device
        Whether device 0 is set before the body runs.
    parameters
        Parameters of the test that are part of the configuration, and that its body does not take.
    **config
        Fields of ``ascend_sim.SimConfig``.
    """

    def decorate(body: Test) -> Test:
        @functools.wraps(body)
        def test(process: Callable[..., str], **values: object) -> None:
            machine = config | {name: values.pop(name) for name in parameters}
            call = f"{body.__module__}.{body.__name__}.__wrapped__(acl, **{values!r})"
            process(f"import {body.__module__}\n{call}", json.dumps(machine), device=device)

        names = [name for name in inspect.signature(body).parameters if name != "acl"]
        test.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
                for name in ("process", *parameters, *names)
            ]
        )
        return test

    return decorate
