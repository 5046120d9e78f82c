# SPDX-License-Identifier: Apache-2.0
"""Every touch of vLLM's private parts, with its reason and the condition under which it can go.

vLLM is written for `torch.cuda` in places that have no hook for other devices (0.32 and 0.33
alike). Nothing outside this folder uses a private name of vLLM's, or assigns to an attribute of
another package's modules and classes; `tests/test_private_parts.py` holds that.

The modules here import nothing of this plugin outside the folder: whatever takes the place of a
part of vLLM's is an argument.
"""

__all__: list[str] = []
