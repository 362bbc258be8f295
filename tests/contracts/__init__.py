"""What every strategy, head, data set and task must do: a new one gets its tests by a subclass with a few attributes."""
