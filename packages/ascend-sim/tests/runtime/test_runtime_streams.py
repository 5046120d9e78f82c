# SPDX-License-Identifier: Apache-2.0
"""Streams, events, values and host functions under real asynchrony."""


# --- streams ---


# --- events ---


# --- values ---


# --- host functions ---
