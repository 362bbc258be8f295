"""From an image as stored to the pixels that a network sees, and points back. Imports no torch, for exported models."""
