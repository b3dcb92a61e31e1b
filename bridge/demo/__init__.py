"""The whole journey on one machine, with honest books: nothing here is trusted to the bridge."""
