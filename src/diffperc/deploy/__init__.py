"""Bringing a model to others: a page to try it on."""
