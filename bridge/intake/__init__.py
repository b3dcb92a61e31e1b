"""HTTP in: the beacon's own API for producers; nothing is answered before it is durable."""
