# SPDX-License-Identifier: Apache-2.0
"""Which Trueup this is: the one place that says so, for rooms that may not import the package above them."""

__version__ = "0.1.0"
