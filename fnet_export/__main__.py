"""The program: `python -m fnet_export` is `fnet-export`."""

from fnet_export.commands.cli import main

if __name__ == "__main__":
    main(prog_name="fnet-export")
