"""Prediction of single images of any size, and writing results to files."""
