"""What each command does; the modules of the same names at the top of the package are their frames."""
