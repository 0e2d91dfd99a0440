# SPDX-License-Identifier: Apache-2.0
"""Floor 8: what a loop's own past says about it: backtest, advise, forecast, whatif."""
