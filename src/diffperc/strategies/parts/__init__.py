"""Parts of strategies: text vectors, attention maps as channels, readouts."""
