"""`python -m choreo` is the `choreo` command."""

from choreo.cli.main import main

main()
