# SPDX-License-Identifier: Apache-2.0
"""Pure mathematics of decisions: bets, guardrails, levels, alarms, bandits, off-policy.

Everything that promotes, rolls back or alarms is a bet on a stream of bounded scores. No
clock, no I/O, no global random state: generators and times are passed in.
"""

from trueup.stats.ab import ABTest, carried
from trueup.stats.arms import ArmTest
from trueup.stats.armsratio import ArmsRatio
from trueup.stats.bandits import BetaThompson, Choice, EpsilonGreedy
from trueup.stats.detect import Alarm, MeanDetector, upper_limit
from trueup.stats.errorcount import ErrorCount
from trueup.stats.fdr import benjamini_hochberg, e_bh
from trueup.stats.forecast import Forecast, forecast, needed_items, paired_pass_probability
from trueup.stats.forecast_ab import ABForecast, ab_power, forecast_ab
from trueup.stats.harm import HarmTest
from trueup.stats.interleave import Interleaved, interleave
from trueup.stats.intervals import Interval, mean_interval
from trueup.stats.judged import AuditedTest, Powered, ppi_mean
from trueup.stats.levels import Levels, level, vault_level
from trueup.stats.linear import LinTS, LinUCB
from trueup.stats.offpolicy import (
    Estimate,
    OffPolicy,
    OffPolicyScore,
    dr,
    ess,
    ips,
    off_policy,
    snips,
)
from trueup.stats.paired import PairedTest, paired
from trueup.stats.pinned import PinnedDetector
from trueup.stats.rank import BatchDetector, lag_correlation
from trueup.stats.ratio import SampleRatio
from trueup.stats.score import ScoreTest
from trueup.stats.shift import Shift, embedding_shift
from trueup.stats.silence import silence
from trueup.stats.winsor import Winsor
from trueup.stats.witness import RandomFeatures, WitnessDetector, median_distance

__all__ = [
    "ABForecast",
    "ABTest",
    "Alarm",
    "ArmTest",
    "ArmsRatio",
    "AuditedTest",
    "BatchDetector",
    "BetaThompson",
    "Choice",
    "EpsilonGreedy",
    "ErrorCount",
    "Estimate",
    "Forecast",
    "HarmTest",
    "Interleaved",
    "Interval",
    "Levels",
    "LinTS",
    "LinUCB",
    "MeanDetector",
    "OffPolicy",
    "OffPolicyScore",
    "PairedTest",
    "PinnedDetector",
    "Powered",
    "RandomFeatures",
    "SampleRatio",
    "ScoreTest",
    "Shift",
    "Winsor",
    "WitnessDetector",
    "ab_power",
    "benjamini_hochberg",
    "carried",
    "dr",
    "e_bh",
    "embedding_shift",
    "ess",
    "forecast",
    "forecast_ab",
    "interleave",
    "ips",
    "lag_correlation",
    "level",
    "mean_interval",
    "median_distance",
    "needed_items",
    "off_policy",
    "paired",
    "paired_pass_probability",
    "ppi_mean",
    "silence",
    "snips",
    "upper_limit",
    "vault_level",
]
