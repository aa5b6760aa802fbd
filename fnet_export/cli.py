"""fnet-export: commands by name, each imported when it is asked for, so that those without torch start without it."""

import importlib
import signal
import sys
from typing import NoReturn, cast

import click

EXPORT = "export"
COMMANDS = {
    EXPORT: "export",
    "convert": "convert",
    "eval": "evaluate",
    "padding": "padding",
    "verify": "verify",
    "inspect": "inspect",
    "bench": "bench",
    "bisect": "bisect",
}
"""By the name that a user types: the module in `fnet_export.commands`, and the function of the same name in it."""


class Commands(click.Group):
    """Commands by name; arguments that begin with none of them are those of `export`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"fnet_export.commands.{COMMANDS[cmd_name]}")
        return cast(click.Command, getattr(module, COMMANDS[cmd_name]))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the export before its options."""
        return super().parse_args(ctx, args if args and args[0] in COMMANDS else [EXPORT, *args])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """From a trained FNet to a verified bundle, and what is asked of one."""
    from fnet_runtime.standard_output import prepare_standard_output  # as late as the commands, which import the runtime

    prepare_standard_output()
    signal.signal(signal.SIGTERM, _terminated)


def _terminated(*_: object) -> NoReturn:
    """End as an exception, so that what is half-written is removed; 143 is what a shell reports of SIGTERM."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
