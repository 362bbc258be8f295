"""Data preparation: one module per data set turns its official archives into the folder that the data set's class reads.

Each module has a function ``main(arguments)``; the command ``diffperc prepare`` (`diffperc.commands.prepare`) calls it.
"""
