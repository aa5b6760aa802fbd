"""Write docs/cli.md from the parsers of fnet-export and fnet-run: `python docs/cli.py`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from fnet_runtime.command.cli import main as fnet_run

from fnet_export.commands.cli import main as fnet_export

PAGE = Path(__file__).with_name("cli.md")
AS_IT_IS = "\b\n"
"""How click marks a paragraph that it must not wrap."""
HEAD = """# Command line

`python docs/cli.py` writes this page from the parsers of the programs. `--help` prints the same texts.

"""


def page() -> str:
    """Return the page: a section for each program and each command."""
    return HEAD + "\n".join([*_sections("fnet-export", fnet_export), *_sections("fnet-run", fnet_run)])


def _sections(name: str, command: click.Command) -> Iterator[str]:
    with click.Context(command, info_name=name, **command.context_settings) as context:
        usage = " ".join(command.collect_usage_pieces(context))
        parts = [f"## {name}", f"```text\n{name} {usage}\n```", *_paragraphs(command.help), *_paragraphs(command.epilog)]
        options = [_row(context, option) for option in command.params if isinstance(option, click.Option)]
        parts.append("\n".join(["| option | value | default | what it does |", "|---|---|---|---|", *options]))
        yield "\n\n".join(parts) + "\n"
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                inner = command.get_command(context, child)
                assert inner is not None
                yield from _sections(f"{name} {child}", inner)


def _paragraphs(text: str | None) -> list[str]:
    return [_paragraph(paragraph) for paragraph in (text or "").split("\n\n") if paragraph.strip()]


def _paragraph(text: str) -> str:
    """Return a paragraph, as it is where click must not wrap it."""
    if text.startswith(AS_IT_IS):
        return f"```text\n{text.removeprefix(AS_IT_IS)}\n```"
    return _escaped(" ".join(text.split()))


def _row(context: click.Context, option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f"`{_value(context, option)}`".replace("|", "\\|")
    extra: Any = option.get_help_extra(context)
    default = re.search(r"\s*\[default: (.*)\]$", option.help or "")
    words = (option.help or "")[: default.start()] if default else option.help or ""
    shown = default[1] if default else "required" if option.required else extra.get("default") or ""
    limits = f" Range: `{extra['range']}`." if "range" in extra else ""
    return f"| {names} | {value} | {_escaped(shown)} | {_escaped(words)}{limits} |"


def _value(context: click.Context, option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.make_metavar(context).removesuffix(" RANGE")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
