# SPDX-License-Identifier: Apache-2.0
"""With `--limits off`, what a device refuses is computed."""

import pytest
from _infer_limits import REFUSED


@pytest.mark.parametrize(
    "call", [call for call in REFUSED if call.widened], ids=lambda call: call.name
)
def test_limits_are_lifted(call):
    call.run()
