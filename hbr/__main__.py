"""`python -m hbr`, which is also how `torchrun -m hbr` starts a rank."""

import sys

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # a file of the current folder hides no library
    from hbr.cli import main

    main()
