"""The way out of a log: committed rows become messages, in order, none lost.

The log is the truth and the topic a cache of it. One relay leads per service; its cursor moves
only behind acknowledged messages, so a crash repeats messages but never skips one. Readers drop
repeats by cursor.

`relay` leads and delivers, `reading` reads rows and tells what they mean, `position` keeps the
place, `horizon` watches the order's two dangers: xids of the future and writers that never end.
"""

from libs.eventlog.relay.horizon import FutureTransactions
from libs.eventlog.relay.metrics import LEADING, RELAYED
from libs.eventlog.relay.position import Deposed
from libs.eventlog.relay.relay import Relay

__all__ = ["LEADING", "RELAYED", "Deposed", "FutureTransactions", "Relay"]
