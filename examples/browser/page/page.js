/** The page: it opens a bundle, asks it about the text, and shows the answer, the sizes and the times. */

import { BrowserError } from "./errors.js";
import { needsFromBrowser } from "./needs.js";

const element = (id) => document.getElementById(id);
const [form, bundles, text, button, status] = ["form", "bundle", "text", "classify", "status"].map(element);
let classifier = null;

async function start() {
    needsFromBrowser();
    for (const name of JSON.parse(await textFromAddress("bundles/index.json"))) {
        bundles.append(new Option(name, name));
    }
    bundles.addEventListener("change", () => shown(open));
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        shown(classify);
    });
    text.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            form.requestSubmit(button);
        }
    });
    for (const example of document.querySelectorAll(".example")) {
        example.addEventListener("click", () => shown(() => showExample(example.dataset.file)));
    }
    await open();
}

/** Open the chosen bundle in place of the last one. */
async function open() {
    say("Reading and checking the bundle.");
    element("answer").hidden = element("facts").hidden = true;
    await classifier?.close();
    classifier = null;
    const [{ bundleFromAddress }, { Classifier }] = await Promise.all([import("./bundle.js"), import("./classifier.js")]);
    const begun = performance.now();
    const bundle = await bundleFromAddress(`bundles/${encodeURIComponent(bundles.value)}`);
    const read = performance.now();
    say("Starting the engine.");
    classifier = await Classifier.open(bundle);
    const started = performance.now();
    const { precision, padding, sequence_length: length } = bundle.manifest;
    showRows("rows", [
        ["precision", precision],
        ["padding", padding === "max_length" ? `every text to ${length} tokens` : `no text; at most ${length} tokens`],
        ["size", `${(bundle.bytes / 1e6).toFixed(1)} MB`],
        ["time to read and check", milliseconds(read - begun)],
        ["time to start", milliseconds(started - read)],
    ]);
    element("facts").hidden = false;
    say("Ready.");
}

/** Show the label of the text. */
async function classify() {
    element("answer").hidden = true;
    say("Answering.");
    await painted();
    const answer = await classifier.classify(text.value);
    element("label").textContent = answer.scores[0].label;
    showRows("scores", answer.scores.map(({ label, score }) => [label, score.toFixed(4)]));
    const cut = answer.truncated ? " The end of the text did not fit and was cut." : "";
    const padded = answer.length > answer.tokens ? `, padded to ${answer.length}` : "";
    const { tokenizer, model } = answer.times;
    element("times").textContent =
        `The text has ${answer.tokens} tokens${padded}.${cut} ` +
        `The tokenizer took ${milliseconds(tokenizer)}, the model ${milliseconds(model)}.`;
    element("answer").hidden = false;
    say("Ready.");
}

async function showExample(file) {
    text.value = await textFromAddress(file);
    await classify();
}

async function textFromAddress(address) {
    const response = await fetch(address, { cache: "no-cache" });
    if (!response.ok) {
        throw new BrowserError(`${address}: cannot be read (HTTP status ${response.status}). Serve the whole folder.`);
    }
    return await response.text();
}

/** Run one step at a time, and show its error if it has one. */
async function shown(step) {
    setBusy(true);
    try {
        await step();
    } catch (error) {
        say(error.message, true);
    }
    setBusy(false);
}

function setBusy(busy) {
    bundles.disabled = busy;
    for (const other of [button, ...document.querySelectorAll(".example")]) {
        other.disabled = busy || classifier === null;
    }
}

function say(words, isError = false) {
    status.textContent = words;
    status.classList.toggle("error", isError);
}

function showRows(id, rows) {
    element(id).replaceChildren(
        ...rows.map(([head, value]) => {
            const row = document.createElement("tr");
            const name = Object.assign(document.createElement("th"), { scope: "row", textContent: head });
            row.append(name, Object.assign(document.createElement("td"), { className: "number", textContent: value }));
            return row;
        }),
    );
}

function milliseconds(value) {
    return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** Wait until the browser has shown what changed: the engine then keeps it busy. */
function painted() {
    return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

await shown(start);
