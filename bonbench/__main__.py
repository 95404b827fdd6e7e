"""``python -m bonbench`` is ``bonbench``."""

import sys

from harness.cli import main

if __name__ == "__main__":
    sys.exit(main())
