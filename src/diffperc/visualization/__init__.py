"""Images, ground truth and results drawn as uint8 arrays."""
