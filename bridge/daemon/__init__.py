"""The process that runs: wires intake, sealing and sending together; nothing else does."""
