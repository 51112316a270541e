"""``python -m martlet``: the command of the Python package."""

import sys

from martlet._command import main

if __name__ == "__main__":
    sys.exit(main())
