# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: models, oracle, and how an engine is started."""
