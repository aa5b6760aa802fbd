"""fnet-export triton, on the command line; docs/triton.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from fnet_runtime.command.exit_codes import list_of_exit_codes
from fnet_runtime.sessions.runtimes import AUTO, MAX_THREADS, RUNTIME_CHOICES

from fnet_export.bundle.triton.config import CONFIG_FILE
from fnet_export.bundle.triton.options import FORMS, WHOLE, RepositoryOptions, ServingOptions
from fnet_export.bundle.triton.repository import RepositoryPlan, plan_from_options, repository_from_plan
from fnet_export.commands.options import FILE, group, output_options
from fnet_export.commands.shared import console_of_result, print_json, print_lines, progress_shown

DEFAULTS = ServingOptions()
LOCAL = "--http-address 127.0.0.1 --grpc-address 127.0.0.1"
"""The server's options to listen on this host only. Without them it listens on all addresses."""

serving_options = group(
    "serving",
    ServingOptions,
    click.option("--runtime", type=click.Choice(RUNTIME_CHOICES), default=AUTO, help="auto: the bundle's own."),
    click.option("--instances", type=click.IntRange(min=1), default=DEFAULTS.instances, help="Copies of the model, side by side."),
    click.option("--threads", type=click.IntRange(1, MAX_THREADS), help="Cores that each copy may use.  [default: all]"),
    click.option("--max-batch-size", type=click.IntRange(min=1), default=DEFAULTS.max_batch_size, help="Texts that run together."),
    click.option(
        "--queue-delay-us",
        type=click.IntRange(min=0),
        default=DEFAULTS.queue_delay_us,
        help="Microseconds that a request may wait for others.",
    ),
    click.option(
        "--max-queue-size",
        type=click.IntRange(min=1),
        default=DEFAULTS.max_queue_size,
        help="Requests that may wait; more get an error.",
    ),
    click.option(
        "--max-text-bytes",
        type=click.IntRange(min=1),
        default=DEFAULTS.max_text_bytes,
        help="Refuse longer texts; in bytes of UTF-8.",
    ),
    click.option(
        "--packages",
        type=FILE,
        multiple=True,
        metavar="FOLDER",
        help="A folder of Python packages on the server, which its models look in first. May be given several times.",
    ),
)


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes({}))
@click.argument("bundles", type=FILE, nargs=-1, required=True, metavar="BUNDLE...")
@click.option("--repository", required=True, type=FILE, metavar="DIR", help="The model repository to write to.")
@click.option("--form", type=click.Choice(FORMS), default=WHOLE, help="One model that answers texts, or an ensemble.")
@click.option("--name", help="What the model is called.  [default: the name of the bundle's folder]")
@click.option("--version", type=click.IntRange(min=1), default=1, help="The version of the model. A new one is added to a model.")
@serving_options
@click.option("--force", is_flag=True, help="Replace a model of the same name, with all of its versions.")
@click.option("--dry-run", is_flag=True, help="Check everything and print what would be written; write nothing.")
@output_options
def triton(*, bundles: tuple[Path, ...], dry_run: bool, as_json: bool, quiet: bool, **values: Any) -> None:
    """Make models of a Triton Inference Server from each BUNDLE: texts in, answers out.

    The command checks every hash. It runs nothing and needs no torch.
    """
    plan = plan_from_options(RepositoryOptions(bundles=bundles, **values))
    if not dry_run:
        with progress_shown(quiet=quiet) as progress:
            repository_from_plan(plan, on_stage=progress.stage)
    if as_json:
        print_json(values_from_plan(plan, written=not dry_run))
    print_lines(console_of_result(as_json=as_json, quiet=quiet), lines_from_plan(plan, written=not dry_run))


def values_from_plan(plan: RepositoryPlan, *, written: bool) -> dict[str, Any]:
    """Return the values of --json."""
    return {
        "repository": str(plan.options.repository),
        "written": written,
        "form": plan.options.form,
        "version": plan.options.version,
        "models": [
            {
                "name": model.name,
                "bundle": str(model.bundle),
                "task": model.task,
                "version_added": model.added,
                "folders": [
                    {"name": folder.name, "files": sorted((*folder.files, *folder.copies)), "config": folder.files[CONFIG_FILE]}
                    for folder in model.folders
                ],
                "notes": list(model.notes),
            }
            for model in plan.models
        ],
    }


def lines_from_plan(plan: RepositoryPlan, *, written: bool) -> Iterator[str]:
    """Give a line for each model, its notes, and how to start a server."""
    options = plan.options
    for model in plan.models:
        names = ", ".join(str(options.repository / folder.name) for folder in model.folders)
        change = "new version" if model.added else "version"
        yield f"{names}: {model.task}, {options.form}, {change} {options.version}{'' if written else ' (not written)'}"
        yield from (f"note: {model.name}: {note}" for note in model.notes)
    yield f"Start a server with: tritonserver --model-repository {options.repository} {LOCAL}"
