"""The program: `python -m fnet_runtime` is `fnet-run`."""

from fnet_runtime.cli import main

main(prog_name="fnet-run")
