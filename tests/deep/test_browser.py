"""The page of examples/browser in headless Chromium: its answers are Python's, and what is broken or hostile is refused."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import fnet_runtime
import onnx
import pytest
from fnet_runtime.bundle.manifest import CONFIG, MANIFEST, MODEL, MODEL_DATA, file_info
from fnet_runtime.tokenizer.tokenizer import SPIECE, TokenizerOptions
from playwright.sync_api import sync_playwright
from support.bundles import replaced
from support.checkpoints import save_tiny
from support.exports import export
from support.golden_tokenizer import COLUMNS, LINES
from support.once import once
from support.paths import GOLDEN, ROOT
from support.tiers import not_run
from support.website import EXAMPLE, in_node, libraries, served, site_of

from fnet_export.texts.emails import emails

PRECISIONS = ("fp32", "int8")
OWN_LENGTHS, MULTIPLES = {"padding": "none"}, {"padding": "none", "pad_to_multiple_of": 4}
TINY = {"padded": {}, "own": OWN_LENGTHS, "multiples": MULTIPLES}
SCORES = {"fp32": 1e-5, "int8": 2e-2}
"""How far a score may be from Python's. In int8, values that lie between two steps are rounded to different sides."""
MILLISECONDS = 60_000
SPAM = (ROOT / "examples" / "emails" / "spam.txt").read_text()
ANSWERS = """async ([name, texts]) => {
    const [{ bundleFromAddress }, { Classifier }] = await Promise.all([import("/bundle.js"), import("/classifier.js")]);
    const classifier = await Classifier.open(await bundleFromAddress(`bundles/${name}`));
    const answers = [];
    for (const text of texts) {
        answers.push(await classifier.classify(text));
    }
    await classifier.close();
    return answers;
}"""


def altered(bundle, name):
    """Change the last byte of a file, and leave its size and the manifest as they are."""
    data = bytearray((bundle / name).read_bytes())
    data[-1] ^= 1
    (bundle / name).write_bytes(data)


def manifest_with(bundle, **changes):
    path = bundle / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


OF_PAGE = [
    i
    for i, column in enumerate(COLUMNS)
    if TokenizerOptions(flavour=column["flavour"]).file == SPIECE and column["model"] != "unigram.model"
    if column["keep_accents"] and not column["do_lower_case"]
]
"""The golden tokenizers that the page does not refuse."""
HOSTILE = {
    "altered-model": (lambda b: altered(b, MODEL), "model.onnx: the file was altered: expected sha256"),
    "altered-tokenizer": (lambda b: altered(b, SPIECE), "spiece.model: the file was altered: expected sha256"),
    "short-model": (lambda b: (b / MODEL).write_bytes(b"short"), "found 5 bytes. Copy the whole bundle again."),
    "long-model": (lambda b: (b / MODEL).write_bytes(bytes(1 << 20)), "model.onnx: expected at most"),
    "no-model": (lambda b: (b / MODEL).unlink(), "model.onnx: cannot be read (HTTP status 404)"),
    "no-manifest": (lambda b: (b / MANIFEST).unlink(), "manifest.json: cannot be read (HTTP status 404)"),
    "no-json": (lambda b: (b / MANIFEST).write_bytes(b"\xff{"), "manifest.json: is not JSON in UTF-8"),
    "endless-manifest": (lambda b: (b / MANIFEST).write_bytes(b" " * (2 << 20)), "manifest.json: expected at most 1048576 bytes"),
    "half-precision": (lambda b: manifest_with(b, precision="fp16"), 'precision: expected fp32 or int8, found "fp16".'),
    "other-inputs": (lambda b: manifest_with(b, inputs=[{"name": "a"}]), "model.onnx: expected the inputs a"),
    "other-labels": (lambda b: manifest_with(b, labels=["A"]), None),
    "no-graph": (lambda b: replaced(b, MODEL, b"no graph"), "ONNX Runtime cannot open model.onnx"),
    "no-tokenizer": (lambda b: replaced(b, SPIECE, b"no tokenizer"), "spiece.model: is not a SentencePiece model"),
    "unigram": (
        lambda b: replaced(b, SPIECE, (GOLDEN / "unigram.model").read_bytes()),
        "expected a BPE model (type 2), found type 1",
    ),
    "no-config": (lambda b: replaced(b, CONFIG, b"no config"), "config.json: is not JSON in UTF-8"),
}
"""What is done to a whole bundle, and what the page says; None where it opens, and the first answer is refused."""


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        not_run("Browser", "chromium", "scripts/system_packages.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folders(shared):
    """The bundles of the page by name: the built-in model in two precisions, and a tiny model with each padding."""

    def make(folder):
        for name in PRECISIONS:
            export(None, folder / name, precision=name, quick=True)
        checkpoint = save_tiny(folder / "checkpoint")
        for name, options in TINY.items():
            export(checkpoint, folder / name, quick=True, accept_drift=bool(options), **options)
        external = shutil.copytree(folder / "padded", folder / "external")
        onnx.save_model(
            onnx.load(external / MODEL), external / MODEL, save_as_external_data=True, location=MODEL_DATA, size_threshold=64
        )
        manifest = json.loads((external / MANIFEST).read_text())
        files = manifest["files"] | {name: vars(file_info(external / name)) for name in (MODEL, MODEL_DATA)}
        manifest_with(external, files=files)

    folder = once(shared / "browser", make)
    return {name: folder / name for name in (*PRECISIONS, *TINY, "external")}


@pytest.fixture(scope="module")
def site(folders, tmp_path_factory):
    site = site_of(folders, tmp_path_factory.mktemp("website") / "site")
    for name, (harm, _) in HOSTILE.items():
        harm(shutil.copytree(site / "bundles" / "padded", site / "bundles" / name))
    (site / "bundles" / "index.json").write_text(json.dumps([*folders, *HOSTILE]))
    return site


@pytest.fixture(scope="module")
def address(site):
    with served(site) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page, with its first bundle open."""
    with browser.new_page() as page:
        page.set_default_timeout(MILLISECONDS)
        page.goto(address)
        page.wait_for_function("!document.getElementById('bundle').disabled")
        assert status(page) == "Ready."
        yield page


def status(page):
    return page.locator("#status").inner_text()


def choose(page, name):
    page.select_option("#bundle", name)
    page.wait_for_function("!document.getElementById('bundle').disabled")


def ask(page, text):
    """Type a text, ask for its label, and wait for an answer or an error."""
    page.fill("#text", text)
    page.get_by_role("button", name="Classify").click()
    page.wait_for_function("!document.getElementById('bundle').disabled")


def answers_of(page, name, texts):
    return page.evaluate(ANSWERS, [name, list(texts)])


def check_answers(found, expected, tolerance):
    assert [answer["scores"][0]["label"] for answer in found] == [answer.label for answer in expected]
    assert [answer["truncated"] for answer in found] == [answer.truncated for answer in expected]
    scores = [{s["label"]: s["score"] for s in answer["scores"]} for answer in found]
    worst = max(abs(own[s.label] - s.score) for own, answer in zip(scores, expected, strict=True) for s in answer.scores)
    assert worst <= tolerance, worst


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_typed_text_gets_its_label(page, folders, name):
    choose(page, name)
    ask(page, SPAM)
    answer = fnet_runtime.load(folders[name]).classify(SPAM)
    assert page.locator("#label").inner_text() == answer.label == "spam"
    assert float(page.locator("#scores td").first.inner_text()) == pytest.approx(answer.score, abs=1e-4 + SCORES[name])
    size = sum((folders[name] / file).stat().st_size for file in (MODEL, SPIECE, CONFIG))
    assert f"{size / 1e6:.1f} MB" in page.locator("#facts").inner_text()
    assert name in page.locator("#facts").inner_text()
    assert "The tokenizer took" in page.locator("#times").inner_text()


def test_the_keyboard_and_the_examples_ask_too(page):
    page.fill("#text", SPAM)
    page.locator("#text").press("Control+Enter")
    page.wait_for_function("document.getElementById('label').textContent === 'spam'")
    page.get_by_role("button", name="An example of ham").click()
    page.wait_for_function("document.getElementById('label').textContent === 'ham'")


@pytest.mark.parametrize("name", PRECISIONS)
def test_the_labels_of_all_e_mails_are_pythons(page, folders, name):
    texts = emails()
    assert len(texts) == 200
    check_answers(answers_of(page, name, texts), fnet_runtime.load(folders[name]).classify(texts), SCORES[name])


@pytest.mark.parametrize("name", [*TINY, "external"])
def test_both_paddings(page, folders, name):
    """Texts of every length up to one that is cut, also an empty one."""
    texts = [" ".join(text.split()[: i % 40]) for i, text in enumerate(emails()[:80])]
    pipeline = fnet_runtime.load(folders[name])
    found = answers_of(page, name, texts)
    check_answers(found, pipeline.classify(texts), 1e-5)
    assert [answer["length"] for answer in found] == [pipeline.inputs(text)[0]["input_ids"].shape[1] for text in texts]
    assert {answer["length"] for answer in found} == {
        "own": {answer["tokens"] for answer in found},
        "multiples": set(range(4, 33, 4)),
    }.get(name, {32})


def test_the_page_asks_nobody_else_and_prints_nothing(browser, address):
    asked, said = [], []
    with browser.new_page() as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.wait_for_function("!document.getElementById('bundle').disabled", timeout=MILLISECONDS)
        ask(page, SPAM)
        assert page.locator("#label").inner_text() == "spam"
        assert page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    assert [text for text in said if "Content Security Policy" not in text] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_bundle_is_refused_and_the_page_goes_on(page, name):
    choose(page, name)
    message = HOSTILE[name][1]
    if message is None:
        ask(page, "a fox")
        message = "model.onnx: expected 1 finite logits"
    assert message in status(page)
    assert page.locator("#status.error").count() == 1
    choose(page, "padded")
    assert status(page) == "Ready."
    ask(page, "the quick fox")
    assert page.locator("#label").inner_text() in ("A", "B", "C")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("delete globalThis.WebAssembly", "This browser cannot run WebAssembly with SIMD."),
        ("WebAssembly.validate = () => false", "This browser cannot run WebAssembly with SIMD."),
        ("Object.defineProperty(crypto, 'subtle', { value: undefined })", "This browser cannot check hashes at this address."),
    ],
)
def test_a_browser_that_lacks_something_is_named(browser, address, script, message):
    with browser.new_page() as page:
        page.add_init_script(script)
        page.goto(address)
        page.wait_for_function("document.querySelector('#status.error')", timeout=MILLISECONDS)
        assert message in status(page)
        assert page.get_by_role("button", name="Classify").is_disabled()


def test_a_browser_without_scripts_reads_why(browser, address):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(address)
        assert "This page needs JavaScript." in page.locator("noscript").inner_text()


def test_a_text_that_cannot_be_answered_is_an_error(page):
    ask(page, "x" * (1 << 18) + "x")
    assert status(page) == "Expected a text of at most 262144 bytes of UTF-8, found more. Shorten the text."
    page.evaluate("document.getElementById('text').value = 'half \\ud800'")
    page.get_by_role("button", name="Classify").click()
    page.wait_for_function("document.querySelector('#status').textContent.includes('surrogate')")
    assert "half of a surrogate pair at character 5" in status(page)
    ask(page, "日" * (1 << 17))
    assert "Expected a text of at most" in status(page)
    ask(page, "日本 10,000 \U0001f600 " * 13_000)  # the longest text that is taken, about
    assert status(page) == "Ready."
    assert "was cut" in page.locator("#times").inner_text()


@pytest.mark.parametrize("index", OF_PAGE)
def test_ids_are_those_of_the_real_tokenizers(site, index):
    """In node, on the golden texts: singly, with the tokens of each cut as the flavour does."""
    column = COLUMNS[index]
    lines = [line for line in LINES if len(line.texts) == 1 and line.columns[index] is not None]
    assert len(lines) > 100
    code = """
        const { Tokenizer } = await load("tokenizer.js");
        const bytes = readFileSync(value.model);
        const manifest = { pad_token_id: 3, padding: "max_length", pad_to_multiple_of: 1, tokenizer: value.column };
        const open = (length) => Tokenizer.open(bytes, { ...manifest, sequence_length: length });
        const tokenizers = Object.fromEntries(await Promise.all(value.lengths.map(async (n) => [n, await open(n)])));
        return value.lines.map(([text, length]) => tokenizers[length].encode(text).inputs.input_ids);
    """
    value = {
        "model": str(GOLDEN / column["model"]),
        "column": column,
        "lengths": sorted({line.length for line in lines}),
        "lines": [[line.texts[0], line.length] for line in lines],
    }
    found = in_node(site, code, value)
    wrong = [(line.texts, own) for line, own in zip(lines, found, strict=True) if own != line.column(index)[0]]
    assert not wrong, f"{len(wrong)} of {len(lines)}: {wrong[:3]}"


def test_the_server_sends_files_and_nothing_else(address):
    def code_of(path, **options):
        try:
            return urllib.request.urlopen(urllib.request.Request(address + path, **options), timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code

    assert code_of("bundle.js") == 200
    assert code_of("bundles/") == 404
    assert code_of("../../etc/passwd") == code_of("%2e%2e/%2e%2e/etc/passwd") == 404
    assert code_of("bundle.js", data=b"x" * 100) == 501
    assert code_of("x" * 70_000) == 414
    assert code_of("bundle.js") == 200


def test_the_command_builds_serves_and_stops(folders, tmp_path):
    (tmp_path / "node_modules").symlink_to(libraries())
    shutil.copy(EXAMPLE / "package-lock.json", tmp_path)
    command = [sys.executable, str(EXAMPLE / "serve_page.py"), str(folders["fp32"]), "--folder", str(tmp_path), "--port"]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline()
            assert line.startswith("Open http://127.0.0.1:")
            address = line.split()[1]
            assert json.load(urllib.request.urlopen(address + "bundles/index.json", timeout=10)) == ["fp32"]
            port = address.split(":")[2].strip("/")
            second = subprocess.run([*command, port], capture_output=True, text=True, check=False)
            assert second.returncode == 1
            assert f"127.0.0.1:{port}: cannot listen there" in second.stderr
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0
