"""Runs a program whose `import onnxruntime` means Martlet.

Usage: python -m martlet.onnxruntime SCRIPT.py [ARGUMENT...]
       python -m martlet.onnxruntime -m MODULE [ARGUMENT...]
"""

from __future__ import annotations

import os
import runpy
import sys

from martlet.onnxruntime import install


def main() -> int:
    """Runs what the command line names."""
    arguments = sys.argv[1:]
    is_module = arguments[:1] == ["-m"]
    if is_module:
        arguments = arguments[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    install()
    sys.argv = arguments
    if is_module:
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
