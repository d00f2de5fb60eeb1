"""The journal's twin in memory: for durability Memory, for tests and for simulation.

`journal.py` is the front, with the ways to fail and to crash; `store.py` holds events and applies batches, `index.py`
one lane's due rows, `letters.py` the dead letters. It passes the contract suite that the embedded journal passes.
"""

from fanout_dispatcher.journal.memory.journal import MemoryJournal as MemoryJournal
from fanout_dispatcher.journal.memory.journal import Mishap as Mishap
