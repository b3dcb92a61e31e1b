"""HTTP out: what is pending goes to the beacon, in order, at least once, by the same bytes."""
