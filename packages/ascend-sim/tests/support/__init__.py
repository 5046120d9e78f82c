# SPDX-License-Identifier: Apache-2.0
"""What tests of several suites share: oracles, ways to call operators, fixtures."""
