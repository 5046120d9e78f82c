# SPDX-License-Identifier: Apache-2.0
"""What the plugin uses of vLLM, and what became of it in another version.

Run as ``python -m upstream VERSION``; `nox -s upstream -- VERSION` does. Sources are read as syntax
trees only: nothing of either vLLM is imported.
"""
