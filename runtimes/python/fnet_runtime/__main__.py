"""Run `fnet-run` as `python -m fnet_runtime`."""

from fnet_runtime.command.cli import main

if __name__ == "__main__":
    main(prog_name="fnet-run")
