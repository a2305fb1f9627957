"""`python -m destila` is the command line."""

from destila.cli import main

main()
