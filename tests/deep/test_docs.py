"""Runs every code block of the README and of docs/.

The blocks of a page run in order, in a folder of its own. The folder holds `labelled.jsonl` and two small checkpoints: `my-model`,
a classifier which was padded in its training, and `pretrained` without a classifier. The built-in model is a small one here. A page
that opens the bundle `spam` without making it gets one. A block of text after a block of commands is what the commands print, and
`...` stands for anything. `<!-- not run: REASON -->` before a block of commands or of Python leaves the block to the parsers.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import CONFIG
from fnet_runtime.command.cli import main as fnet_run
from safetensors.torch import load_file, save_file

import fnet_core.checkpoint.open as checkpoints
from fnet_export.commands.cli import main as fnet_export
from fnet_export.texts.emails import EMAILS
from fnet_export.texts.tokenizer.trained_length import OWN_KEY, OWN_PADDING_KEY

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/embed_cpp/README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {"fnet-export": fnet_export, "fnet-run": fnet_run}
SMALL = {256: 16, 1024: 24, 512: 64}
"""Sizes of the built-in model, and what they are here."""
LANGUAGES = ("bash", "python", "cpp", "c", "cmake", "json", "text", "mail")
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"[|<>&;$`(]")
"""What a shell must run."""


@dataclass(frozen=True)
class Block:
    """One block of code: its language, why it does not run (or None), and what it should print (or None)."""

    language: str
    code: str
    reason: str | None
    output: str | None


def blocks_of(page):
    source = page.read_text("utf-8")
    found = list(BLOCK.finditer(source))
    after = [*found[1:], None][: len(found)]
    for block, following in zip(found, after, strict=True):
        adjacent = following and following["language"] == "text" and not source[block.end() : following.start()].strip()
        yield Block(block["language"], block["code"], block["reason"], following["code"] if adjacent else None)


def commands_of(code):
    """Give each command of a shell block, continued lines joined, comments left out."""
    for line in code.replace("\\\n", " ").splitlines():
        if shlex.split(line, comments=True):
            yield line


@pytest.fixture(scope="module")
def small_built_in(tmp_path_factory):
    """A model with the heads, labels and vocabulary of the built-in one, but small and with random weights."""
    folder = tmp_path_factory.mktemp("models") / "small"
    shutil.copytree(checkpoints.BUILT_IN, folder)
    config = json.loads((folder / "config.json").read_text())
    cut = {key: SMALL.get(value, value) for key, value in config.items() if isinstance(value, int) and not isinstance(value, bool)}
    (folder / "config.json").write_text(json.dumps(config | cut | {"num_hidden_layers": 1}))
    shapes = {name: value.shape for name, value in load_file(folder / "model.safetensors").items()}
    kept = {name: shape for name, shape in shapes.items() if ".layer." not in name or ".layer.0." in name}
    torch.manual_seed(0)
    drawn = {name: 0.3 * torch.randn([SMALL.get(size, size) for size in shape]) for name, shape in kept.items()}
    save_file(drawn, folder / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "BUILT_IN", folder)
        yield folder


@pytest.fixture(scope="module")
def spam(small_built_in, tmp_path_factory):
    """The bundle that pages call `spam`."""
    folder = tmp_path_factory.mktemp("bundles") / "spam"
    words = ["--task", "sequence-classification", "--target", "onnx", "--quick", "--quiet", "--output", str(folder)]
    assert CliRunner().invoke(fnet_export, words).exit_code == 0
    return folder


@pytest.fixture
def folder(small_built_in, spam, request, tmp_path, monkeypatch):
    for name in ("my-model", "pretrained"):
        shutil.copytree(small_built_in, tmp_path / name)
    config = json.loads((tmp_path / "my-model" / CONFIG).read_text())
    del config[OWN_PADDING_KEY]
    saved = {"architectures": ["FNetForSequenceClassification"], OWN_KEY: SMALL[512]}
    (tmp_path / "my-model" / CONFIG).write_text(json.dumps(config | saved))
    tensors = load_file(small_built_in / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if not name.startswith("classifier.")}
    save_file(kept, tmp_path / "pretrained" / "model.safetensors")
    shutil.copy(EMAILS, tmp_path / "labelled.jsonl")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    page = request.node.callspec.params["page"]
    if not re.search(r"^fnet-export .*--target onnx --output spam$", page.read_text("utf-8"), re.MULTILINE):
        shutil.copytree(spam, tmp_path / "spam")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_program(words):
    """Run one of our programs here; give what it prints."""
    done = CliRunner().invoke(PROGRAMS[words[0]], words[1:], prog_name=words[0])
    return done.exit_code, done.output


def run_shell(command):
    own = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=False, env=own)
    return done.returncode, done.stdout + done.stderr


def run_bash(block):
    printed = ""
    for line in commands_of(block.code):
        words = shlex.split(line, comments=True)
        expected = re.search(r"# exit code (\d+)", line)
        code, output = run_program(words) if words[0] in PROGRAMS and not SHELL.search(line) else run_shell(line)
        assert code == (int(expected[1]) if expected else 0), f"{line}\n{output}"
        printed += output
    return printed


def parse_bash(code):
    """Check a block that cannot run here: its syntax, and our programs' arguments."""
    assert subprocess.run(["bash", "-n"], input=code, text=True, check=False).returncode == 0
    for line in commands_of(code):
        words = [word for word in shlex.split(line, comments=True) if not re.match("[A-Z_]+=", word)]
        name = Path(words[0]).name if words else ""
        if name in PROGRAMS:
            parse(name, PROGRAMS[name], words[1:])


def parse(name, command, words):
    with command.make_context(name, list(words)) as context:
        if hasattr(command, "resolve_command"):
            inner_name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            parse(inner_name, inner, rest)


def check_cpp(code, language):
    """Compile a piece of an application; the errors that it hands on go to `fail`."""
    whole = code if "int main" in code else f"int fail(const std::string&);\nint f() {{\n{code}\nreturn 0;\n}}\n"
    source = whole if "#include" in whole else f"#include <fnet/fnet.hpp>\n#include <string>\n{whole}"
    include = str(ROOT / "runtimes" / "cpp" / "include")
    compiler = ["gcc", "-xc"] if language == "c" else ["g++", "-std=c++17", "-xc++"]
    done = subprocess.run(
        [*compiler, "-fsyntax-only", "-I", include, "-"], input=source, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def check_cmake(code):
    """Lines of CMake are those of the example, which tests/cpp builds."""
    built = (ROOT / "examples" / "embed_cpp" / "CMakeLists.txt").read_text().splitlines()
    assert [line for line in code.splitlines() if line and line not in built] == []


def pattern(text):
    """A pattern for what is printed: white space of any length, `...` for anything."""
    return r"\s*".join(".*?" if word == "..." else re.escape(word) for word in re.split(r"(\.\.\.)|\s+", text) if word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_are_fenced_and_named(page):
    source = page.read_text("utf-8")
    assert not re.search(r"\n\n    \S", re.sub(r"(?ms)^ *```.*?^ *```$", "", source)), "a block that is not fenced does not run"
    assert {block.language for block in blocks_of(page)} <= set(LANGUAGES)


@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks_of(page))], ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page, folder):
    for block in blocks_of(page):
        if block.language == "bash" and block.reason:
            parse_bash(block.code)
        elif block.language == "bash":
            printed = run_bash(block)
            if block.output is not None:
                assert re.search(pattern(block.output), printed, re.DOTALL), f"{block.code}\nprints\n{printed}"
        elif block.language == "python":
            code = compile(block.code, str(page), "exec")
            if not block.reason:
                exec(code, {"__name__": "__main__"})
        elif block.language in ("cpp", "c"):
            check_cpp(block.code, block.language)
        elif block.language == "cmake":
            check_cmake(block.code)
        elif block.language == "json":
            json.loads(block.code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not target.startswith("https://"):
            file, _, heading = target.partition("#")
            path = page.parent / file if file else page
            assert path.exists(), target
            headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE) if heading else []
            assert not heading or heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings], target


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"^make ([a-z][a-z-]+)", "".join(block.code for block in blocks_of(page)), re.MULTILINE):
            assert f"\n{target}:" in makefile, target
