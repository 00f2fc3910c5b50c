"""`python -m amaxds` is the command `amaxds`."""

from amaxds.cli import main

main()
