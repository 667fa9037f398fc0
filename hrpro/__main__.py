import sys

from hrpro.cli import main

if __name__ == "__main__":
    sys.exit(main())
