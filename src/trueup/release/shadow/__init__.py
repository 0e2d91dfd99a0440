# SPDX-License-Identifier: Apache-2.0
"""The stage that shows nothing: both models answer the same units, and are scored in pairs."""
