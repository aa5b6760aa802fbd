"""The options that several commands have, each declared once, and groups of options that make one dataclass."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from fnet_runtime.sessions.providers import CPU, PROVIDERS
from fnet_runtime.tokenizer.tokenizer import FLAVOURS

from fnet_export.evaluation.labelled import columns_from_options

Command = TypeVar("Command", bound=Callable[..., None])
AnyCommand = Callable[..., None]
FILE = click.Path(path_type=Path)
POINTS = click.FloatRange(0, 100)

bundle_argument = click.argument("bundle", type=FILE)
revision_option = click.option("--revision", help="Branch, tag or commit of a hub id.")
tokenizer_option = click.option(
    "--tokenizer", type=click.Choice(list(FLAVOURS)), help="The flavour that training used.  [default: as the model's files say]"
)
checkpoint_of_bundle_option = click.option(
    "--model", metavar="FOLDER|ID", help="Where the checkpoint of the bundle is now.  [default: where it was]"
)
min_accuracy_option = click.option(
    "--min-accuracy", type=POINTS, metavar="POINTS", help="Exit 3 if the main metric of the bundle is below POINTS, of 100."
)
column_option = click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="KEY=NAME",
    callback=lambda _context, _option, values: columns_from_options(values),
    help="The column of labelled data that holds a key of the task, such as text=sentence; may be given several times.",
)
atol_option = click.option("--atol", type=float, metavar="X", help="Allow errors up to X, plus what --rtol adds, as the limit.")
rtol_option = click.option(
    "--rtol", type=float, metavar="X", help="Allow X times the largest magnitude of an output's reference, plus --atol."
)

provider_option = click.option(
    "--provider", type=click.Choice(list(PROVIDERS)), default=CPU, help="The provider of ONNX Runtime that runs model.onnx."
)
allow_partial_option = click.option(
    "--allow-partial", is_flag=True, help="Let the CPU run the nodes that the provider does not take."
)


def samples_option(count: str) -> Callable[[Command], Command]:
    """Return --samples, the texts that a command runs; `count` says how many it runs."""
    return click.option(
        "--samples",
        type=FILE,
        metavar="FILE",
        help=f"Texts to run, one per line or JSON Lines; {count}.  [default: the built-in e-mails]",
    )


def output_options(command: Command) -> Command:
    """Give a command --json and --quiet, as `as_json` and `quiet`."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print the result, or the error, as one JSON object.")
    quiet = click.option("--quiet", is_flag=True, help="Print only errors, and the JSON object with --json.")
    return as_json(quiet(command))


def group(
    name: str, make: Callable[..., Any], *options: Callable[..., Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that declares options and passes a command one value, `name`, which `make` makes of their values.

    The names of the options are the parameters of `make`. What `make` raises ends the command.
    """
    names = [option(lambda: None).__click_params__[0].name for option in options]

    def decorate(command: AnyCommand) -> AnyCommand:
        @functools.wraps(command)
        def grouped(**values: Any) -> None:
            made = make(**{key: values.pop(key) for key in names})
            command(**values, **{name: made})

        decorated: AnyCommand = grouped
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
