"""``python -m diffperc.prepare ade20k --download``: the same as ``diffperc prepare``."""

import sys

from diffperc.commands.prepare import run

if __name__ == "__main__":
    run(sys.argv[1:])
