"""Layers shared by strategies and heads."""
