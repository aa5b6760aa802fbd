"""fnet-export: commands by name, each imported when it is asked for, so that those without torch start without it."""

import difflib
import importlib
import logging
from dataclasses import dataclass
from typing import Any, cast

import click
from click.shell_completion import CompletionItem
from fnet_runtime.command.ending import end_on_signals, ended_in_words
from fnet_runtime.command.exit_codes import MEANINGS, list_of_exit_codes
from fnet_runtime.command.standard_output import guarded_standard_output, prepare_standard_output
from fnet_runtime.errors import FNetRuntimeError

from fnet_core.errors import FNetError
from fnet_export.base.errors import FNetExportError, is_out_of_memory

EXPORT, HELP = "export", "help"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A command: the module in `fnet_export.commands` with a function of the same name, and what the list of commands says."""

    module: str
    summary: str


COMMANDS = {
    EXPORT: Entry(module="export", summary="Export one task of a trained FNet as a verified bundle."),
    "choose": Entry(module="choose", summary="Keep the fastest of several exports within limits."),
    "convert": Entry(module="convert", summary="Rewrite a checkpoint in another format."),
    "eval": Entry(module="evaluate", summary="Measure the accuracy of a bundle on labelled data."),
    "padding": Entry(module="padding", summary="Compare padded lengths of a bundle's model."),
    "verify": Entry(module="verify", summary="Check a bundle again on this host."),
    "inspect": Entry(module="inspect", summary="Show the model, tensors, tokenizer and files of a bundle."),
    "rebuild": Entry(module="rebuild", summary="Build a bundle's TensorRT engine again for this GPU."),
    "triton": Entry(module="triton", summary="Make a model repository of a Triton Inference Server."),
    "bench": Entry(module="bench", summary="Time bundles on this host."),
    "bisect": Entry(module="bisect", summary="Find where a bundle's graph departs from its model."),
}
"""By the name that a user types."""
EPILOG = (
    "Without a command, fnet-export runs export: fnet-export --model FOLDER --target TARGET. Each command has its own --help.\n\n"
    f"{list_of_exit_codes(MEANINGS)}"
)
AS_JSON = "fnet_export.as_json"
"""Where a context keeps whether --json is among the arguments."""
NO_LOG = logging.NullHandler()
"""Where libraries log to: without a handler, Python prints their warnings to standard error, where only ours belong."""


class Commands(click.Group):
    """Commands by name. Arguments that begin with an option belong to `export`."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the program; standard output that cannot be written ends it in words."""
        with guarded_standard_output():
            return super().main(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or return None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        logging.getLogger().addHandler(NO_LOG)  # first: matplotlib warns of an unwritable home as soon as it is imported
        name = COMMANDS[cmd_name].module
        return cast(click.Command, getattr(importlib.import_module(f"fnet_export.commands.{name}"), name))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the export before its options; `help COMMAND` is `COMMAND --help`."""
        if args[:1] == [HELP]:
            args = [*args[1:2], "--help"]
        group_options = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        if args and args[0].startswith("-") and args[0] not in group_options:
            args = [EXPORT, *args]
        ctx.meta[AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that is asked for. Raises UsageError for an unknown one, with the nearest."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Expected one of {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command, without importing any, or the options of a command line without one."""
        if incomplete.startswith("-"):
            export = self.get_command(ctx, EXPORT)
            assert export is not None
            items = [*click.Command.shell_complete(self, ctx, incomplete), *export.shell_complete(ctx, incomplete)]
            return list({item.value: item for item in items}.values())
        return [CompletionItem(name, help=entry.summary) for name, entry in COMMANDS.items() if name.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what ends it from outside is one sentence and an exit code."""
        with ended_in_words("; stop other programs, or use a host with more memory"):
            try:
                return super().invoke(ctx)
            except (FNetError, FNetExportError, FNetRuntimeError) as error:
                from fnet_export.commands.shared import exit_code_of, fail  # as late as the commands

                fail(str(error), exit_code_of(error), as_json=ctx.meta[AS_JSON])
            except click.ClickException as error:  # click says it on standard error, and ends the program
                if ctx.meta[AS_JSON]:
                    from fnet_export.commands.shared import print_json  # as late as the commands

                    print_json({"error": error.format_message(), "exit_code": error.exit_code})
                raise
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise MemoryError from error
                raise


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(package_name="fnet-export")
def main() -> None:
    """Export a trained FNet as a verified bundle. Check, measure and debug bundles."""
    prepare_standard_output()
    end_on_signals()
