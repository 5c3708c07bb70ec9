"""`python -m hbr`, which is also how `torchrun -m hbr` starts a rank."""

from hbr.cli import main

if __name__ == "__main__":
    main()
