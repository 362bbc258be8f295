"""One file per data set, with the name that `dataset=` has for it."""
