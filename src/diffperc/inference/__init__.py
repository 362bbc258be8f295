"""Prediction of whole images, pictures of results, and the image-independent baseline."""
