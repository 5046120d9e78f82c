# SPDX-License-Identifier: Apache-2.0
"""The demo: a real `vllm serve` in ACL graph mode on a simulated NPU, checked token for token."""
