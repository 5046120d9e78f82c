# SPDX-License-Identifier: Apache-2.0
"""A rank that torchrun starts: its engine's options are the argument with its number, as JSON."""

import json
import os
import sys

from vllm import LLM

if __name__ == "__main__":
    LLM(**json.loads(sys.argv[1 + int(os.environ["RANK"])]))
