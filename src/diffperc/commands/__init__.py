"""The commands; the modules of the same names at the top of the package are their entry points."""
