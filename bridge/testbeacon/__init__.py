"""A reference beacon: a real server with a real database, for trials, the demo and tests.

It answers the beacon's own paths as the beacon does where that is known, and in the strictest way
that still fits where it is not. Read ``routes`` for what goes in and out, ``bodies`` and ``otlp``
for what is a record, ``store`` for what is kept, ``faults`` for how it is made to misbehave.
It is not meant to face a network: who reaches it may give it faults.
"""
