"""`python -m glacierlab`."""

from .cli import main

main()
