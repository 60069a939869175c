"""`python -m leukoscope` is `leukoscope`."""

import os
import sys

# Python puts the current folder first in the path for -m: a file there called like a library, such
# as rich.py, would be loaded in its place. (A folder called leukoscope only stands in our way if it
# holds an __init__.py: Python then runs that folder before any line of ours; `python -P -m
# leukoscope` or the command `leukoscope` don't look there.)
# Without pathlib: while that loads, Ctrl-C is a traceback of Python.
if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(".") != os.path.realpath(
    f"{__file__}/../.."
):
    del sys.path[0]

from leukoscope.cli import main

if __name__ == "__main__":
    main()
