"""`python -m leukoscope` is `leukoscope`."""

from leukoscope.cli import main

if __name__ == "__main__":
    main()
