"""One file for each data set, named as `dataset=` names it."""
