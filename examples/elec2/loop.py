# SPDX-License-Identifier: Apache-2.0
"""Will the price of electricity be above its mean of the last day? Retrain when the model worsens.

The market of New South Wales, half-hourly, 1996 to 1998 (Harries 1999). The label of a half-hour is
known when it is over. The loop looks once a week, and trains when the model is worse than it was in
its own first week, at most every four weeks. There is no threshold in it: a
week is the longest cycle of such a market that a person would name beforehand, and four weeks is the
schedule that the loop is compared with. Its form was chosen after others had been tried on this stream.
"""

from datetime import timedelta

from trees import Trees

from trueup import Loop, Outcome, Task
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.release import Full, Shadow
from trueup.triggers import Cooldown, Cron, Worsens

DAY = timedelta(days=1)
FIELDS = ("day", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")

loop = Loop(
    "elec2",
    task=Task(input="market", output="prediction", unit="half_hour"),
    outcomes=[Outcome.of_input("class", within=DAY)],
    look=Cron("0 0 * * 2"),  # the stream begins on a Tuesday
    when=[Worsens(Accuracy())],
    unless=[Cooldown(28 * DAY)],
    recipe=Recipe(window=56 * DAY, min_rows=1_000),
    trainer=Trees(FIELDS),
    release=[Shadow(Accuracy(), no_worse_by=0.05), Full()],
)
