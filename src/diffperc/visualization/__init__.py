"""Pictures of images, ground truth and results, as uint8 arrays."""
