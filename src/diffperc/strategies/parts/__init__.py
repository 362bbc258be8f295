"""What several strategies share: text vectors, attention maps as channels, readouts."""
