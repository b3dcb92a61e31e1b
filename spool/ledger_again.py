"""What goes to the beacon a second time on purpose, from the wish to the answer.

It took these segments once. That it counts none of them as new at the second time is right, and no
difference that anybody has to look into.
"""

from spool.ledger_marks import Marks

AGAIN = Marks("again")
