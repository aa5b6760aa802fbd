"""The program: `python -m fnet_export` is `fnet-export`."""

from fnet_export.cli import main

main(prog_name="fnet-export")
