# SPDX-License-Identifier: Apache-2.0
"""The process that reads vLLM's parser: prints every option and every field of two of them."""

import dataclasses
import json

from vllm.config import AttentionConfig, CompilationConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser

_WITH_FIELDS = {"compilation_config": CompilationConfig, "attention_config": AttentionConfig}


def options() -> list[str]:
    """Options as a user writes them, without their aliases, and fields with a dot."""
    parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
    names = [action.option_strings[0] for action in parser._actions if action.dest != "help"]
    for option, config in _WITH_FIELDS.items():
        names += [f"{option}.{field.name}" for field in dataclasses.fields(config) if field.init]
    return names


if __name__ == "__main__":
    print("RESULT " + json.dumps(options()))
