"""``python -m diffperc.data inspect ...``: another name of `diffperc.inspect`."""

from __future__ import annotations

import sys

from diffperc.inspect import main

if __name__ == "__main__":
    if sys.argv[1:2] != ["inspect"]:
        given = f"there is no '{sys.argv[1]}'; " if len(sys.argv) > 1 else ""
        print(f"error: {given}usage: python -m diffperc.data inspect dataset=...", file=sys.stderr)
        sys.exit(2)
    main(sys.argv[2:])
