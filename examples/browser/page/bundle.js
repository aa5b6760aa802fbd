/** Read a bundle over the network, and check the hash of every file before anything runs it (docs/bundle.md is the format). */

import { BundleError } from "./errors.js";

const FORMAT_VERSION = 1;
const MANIFEST = "manifest.json";
const [MODEL, MODEL_DATA, CONFIG, SPIECE] = ["model.onnx", "model.onnx.data", "config.json", "spiece.model"];
const TASK = "sequence-classification";
const PRECISIONS = ["fp32", "int8"];
const PADDINGS = ["max_length", "none"];
const FLAVOURS = ["fnet-slow", "sentencepiece", "f_net"];
const MAX_MANIFEST_BYTES = 1 << 20;
const MAX_FILE_BYTES = 1 << 29;

/**
 * Read the files of a bundle that this page uses, and check their sizes and hashes.
 *
 * Returns the manifest, the problem_type of config.json, the files by name, and how many bytes they have.
 * Throws BundleError, which names the file.
 */
export async function bundleFromAddress(address) {
    const folder = new URL(address.endsWith("/") ? address : `${address}/`, document.baseURI);
    const index = await bytesFromAddress(new URL(MANIFEST, folder), MAX_MANIFEST_BYTES);
    const manifest = checkedManifest(jsonFromBytes(index, MANIFEST));
    const files = {};
    for (const name of [CONFIG, SPIECE, MODEL, MODEL_DATA].filter((name) => name in manifest.files)) {
        files[name] = await checkedFile(new URL(name, folder), name, manifest.files[name]);
    }
    const problemType = jsonFromBytes(files[CONFIG], CONFIG)?.problem_type ?? null;
    return { manifest, problemType, files, bytes: Object.values(files).reduce((sum, file) => sum + file.length, 0) };
}

/** Return a manifest whose keys have the values that this page can run. Throws BundleError. */
export function checkedManifest(manifest) {
    const expect = (condition, key, expected, found) => {
        if (!condition) {
            throw new BundleError(`${MANIFEST}: ${key}: expected ${expected}, found ${JSON.stringify(found)}.`);
        }
    };
    const oneOf = (key, values, found) => expect(values.includes(found), key, values.join(" or "), found);
    const isCount = (value, least) => Number.isSafeInteger(value) && value >= least;
    expect(isObject(manifest), "the file", "an object", manifest);
    oneOf("format_version", [FORMAT_VERSION], manifest.format_version);
    oneOf("task", [TASK], manifest.task);
    oneOf("precision", PRECISIONS, manifest.precision);
    oneOf("padding", PADDINGS, manifest.padding);
    expect(isCount(manifest.sequence_length, 1), "sequence_length", "an integer from 1", manifest.sequence_length);
    expect(isCount(manifest.pad_token_id, 0), "pad_token_id", "an integer from 0", manifest.pad_token_id);
    const multiple = manifest.pad_to_multiple_of;
    const fits = isCount(multiple, 1) && manifest.sequence_length % multiple === 0;
    expect(fits && (manifest.padding === "none" || multiple === 1), "pad_to_multiple_of", "a divisor of sequence_length", multiple);
    expect(isNames(manifest.labels), "labels", "a list of names", manifest.labels);
    expect(Array.isArray(manifest.inputs) && isNames(manifest.inputs.map((t) => t?.name)), "inputs", "a list", manifest.inputs);
    const tokenizer = isObject(manifest.tokenizer) ? manifest.tokenizer : {};
    oneOf("tokenizer: flavour", FLAVOURS, tokenizer.flavour);
    oneOf("tokenizer: do_lower_case", [false], tokenizer.do_lower_case);
    oneOf("tokenizer: keep_accents", [true], tokenizer.keep_accents);
    oneOf("tokenizer: remove_space", [true, false], tokenizer.remove_space);
    expect(isObject(manifest.files), "files", "an object", manifest.files);
    for (const name of [CONFIG, SPIECE, MODEL]) {
        expect(Object.hasOwn(manifest.files, name), "files", name, Object.keys(manifest.files));
    }
    for (const name of [CONFIG, SPIECE, MODEL, MODEL_DATA].filter((name) => name in manifest.files)) {
        const info = manifest.files[name];
        expect(/^[0-9a-f]{64}$/.test(info?.sha256), `files: ${name}: sha256`, "64 hexadecimal digits", info?.sha256);
        const size = info.size_bytes;
        expect(isCount(size, 0) && size <= MAX_FILE_BYTES, `files: ${name}: size_bytes`, `0 to ${MAX_FILE_BYTES}`, size);
    }
    return manifest;
}

function isObject(value) {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNames(value) {
    return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string");
}

function jsonFromBytes(bytes, name) {
    try {
        return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch (error) {
        throw new BundleError(`${name}: is not JSON in UTF-8 (${error.message}). Copy the whole bundle again.`);
    }
}

/** Read one file of a manifest. Throws BundleError for another size or another hash. */
async function checkedFile(address, name, info) {
    const bytes = await bytesFromAddress(address, info.size_bytes);
    const altered = (expected, found) =>
        new BundleError(`${name}: the file was altered: expected ${expected}, found ${found}. Copy the whole bundle again.`);
    if (bytes.length !== info.size_bytes) {
        throw altered(`${info.size_bytes} bytes`, `${bytes.length} bytes`);
    }
    const hash = await sha256(bytes);
    if (hash !== info.sha256) {
        throw altered(`sha256 ${info.sha256}`, hash);
    }
    return bytes;
}

async function sha256(bytes) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Read a file of at most `bound` bytes. A longer file is not read to its end. Throws BundleError. */
async function bytesFromAddress(address, bound) {
    const name = address.pathname.split("/").at(-1);
    const parts = [];
    let size = 0;
    try {
        const response = await fetch(address, { cache: "no-cache" });
        if (!response.ok) {
            throw new Error(`HTTP status ${response.status}`);
        }
        const reader = response.body.getReader();
        for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
            size += value.length;
            if (size > bound) {
                await reader.cancel();
                break;
            }
            parts.push(value);
        }
    } catch (error) {
        throw new BundleError(`${name}: cannot be read (${error.message}). Copy the whole bundle to the server.`);
    }
    if (size > bound) {
        throw new BundleError(`${name}: expected at most ${bound} bytes, found more. Copy the whole bundle again.`);
    }
    const bytes = new Uint8Array(size);
    let start = 0;
    for (const part of parts) {
        bytes.set(part, start);
        start += part.length;
    }
    return bytes;
}
