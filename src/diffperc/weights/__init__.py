"""Pretrained weights: where they are, how they are read without running code, and what their tensors are called."""
