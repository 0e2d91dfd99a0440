# SPDX-License-Identifier: Apache-2.0
"""What an application calls: choose an arm, log the answer, give feedback. Light, and never in the way."""

from trueup.client._home import find_home
from trueup.client.choice import Choice, Mixed
from trueup.client.client import Client, connect
from trueup.client.exploring import Explored, explore

__all__ = ["Choice", "Client", "Explored", "Mixed", "connect", "explore", "find_home"]
