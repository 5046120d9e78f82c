# SPDX-License-Identifier: Apache-2.0
"""A server that does not start says why at the end of its output, where its user looks."""

import subprocess
from pathlib import Path

from support.engine import OFF_LIMITS, under_simulator

NO_STREAMS = ("--fault", "fail:aclmdlRICaptureBegin,from=1,code=207005")
LAST_WORDS_OF_VLLM = "Engine core initialization failed"


def test_the_cause_comes_after_what_vllm_says_of_it(
    tiny_model: Path, vllm_environment: dict[str, str]
) -> None:
    """Given a chip without a stream for a single graph."""
    before = set(Path(vllm_environment["TMPDIR"]).iterdir())
    serve = ("vllm", "serve", str(tiny_model), "--max-model-len", "512", "--dtype", "float32")
    server = subprocess.run(
        under_simulator(*serve, options=(*OFF_LIMITS, *NO_STREAMS)),
        env=vllm_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert server.returncode != 0
    end = server.stdout.rpartition(LAST_WORDS_OF_VLLM)[2]
    for words in ("the engine did not start", "OUT_OF_QUEUES", "--enforce-eager"):
        assert words in end
    assert "remaining storage space" not in end  # torch_npu's remark on any resource
    assert set(Path(vllm_environment["TMPDIR"]).iterdir()) == before
