"""``python -m inferometer``, and the function behind the ``inferometer`` script."""

import sys

from inferometer.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
