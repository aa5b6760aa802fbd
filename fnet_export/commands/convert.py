"""fnet-export convert, on the command line; docs/checkpoints.md."""

from pathlib import Path

import click
from fnet_runtime.command.exit_codes import list_of_exit_codes

from fnet_export.base.progress import Lines, Quiet
from fnet_export.bundle.convert import FORMATS, ConvertOptions, folder_from_options
from fnet_export.commands.options import FILE, output_options, revision_option, tokenizer_option
from fnet_export.commands.shared import print_json


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes({}))
@click.option("--model", required=True, metavar="FOLDER|ID", help="A folder, flax file or hub id.")
@revision_option
@click.option("--to", required=True, type=click.Choice(FORMATS), help="The format to write.")
@click.option("--output", required=True, type=FILE, help="The folder to write.")
@tokenizer_option
@click.option("--force", is_flag=True, help="Replace an earlier conversion.")
@output_options
def convert(
    model: str, revision: str | None, to: str, output: Path, tokenizer: str | None, force: bool, as_json: bool, quiet: bool
) -> None:
    """Rewrite a checkpoint in another format: weights with every head, configuration and vocabulary."""
    options = ConvertOptions(to=to, output=output, model=model, revision=revision, tokenizer=tokenizer, force=force)
    folder = folder_from_options(options, on_note=(Quiet() if quiet else Lines()).note)
    if as_json:
        print_json({"folder": str(folder), "format": to})
    elif not quiet:
        click.echo(f"{folder}: {to}")
