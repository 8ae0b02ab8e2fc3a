"""`python -m workroom`."""

import sys

from workroom.cli import main

if __name__ == "__main__":
    sys.exit(main())
