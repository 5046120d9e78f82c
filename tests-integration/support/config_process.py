# SPDX-License-Identifier: Apache-2.0
"""The process that builds configurations: reads options of engines, prints what each gives.

An engine builds its configuration first, in this very way; so what is refused here is refused at
start, and a single import of vLLM serves all cases.
"""

import json
import sys

from vllm import EngineArgs
from vllm.model_executor.models import registry


def error_of(options: dict[str, object]) -> str:
    """Text of the error that an engine with these options starts with; empty if it would start."""
    try:
        EngineArgs(**options).create_engine_config()
    except Exception as error:  # whatever it is, the test looks at it
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    # Else vLLM looks at each class of models in a process of its own, whose start takes long.
    registry._run_in_subprocess = lambda function: function()
    for case in json.load(sys.stdin):
        print("RESULT " + json.dumps(error_of(case)), flush=True)
