"""Inspecting a data set before training."""
