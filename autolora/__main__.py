"""`python -m autolora` is the command `autolora`."""

from autolora.cli import main

main()
