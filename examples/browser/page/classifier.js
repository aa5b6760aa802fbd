/** A bundle of the task sequence-classification, opened: text in, labels and scores out. */

import * as ort from "./vendor/onnxruntime/ort.wasm.bundle.min.mjs";
import { BrowserError, BundleError } from "./errors.js";
import { scoresOfLabels } from "./scores.js";
import { Tokenizer } from "./tokenizer.js";

ort.env.wasm.numThreads = 1; // more threads need headers that a plain server of static files does not send
ort.env.logLevel = "fatal"; // every failure is thrown, and need not be printed

export class Classifier {
    #tokenizer;
    #session;
    #manifest;
    #problemType;

    constructor(tokenizer, session, { manifest, problemType }) {
        this.#tokenizer = tokenizer;
        this.#session = session;
        this.#manifest = manifest;
        this.#problemType = problemType;
    }

    /** Open the files of a bundle, whose hashes were checked. Throws BundleError and BrowserError. */
    static async open(bundle) {
        const tokenizer = await Tokenizer.open(bundle.files["spiece.model"], bundle.manifest);
        const data = bundle.files["model.onnx.data"];
        const external = data ? { externalData: [{ path: "model.onnx.data", data }] } : {};
        let session;
        try {
            session = await ort.InferenceSession.create(bundle.files["model.onnx"], { executionProviders: ["wasm"], ...external });
        } catch (error) {
            throw new BrowserError(`ONNX Runtime cannot open model.onnx (${error.message}). Serve the whole folder, or use a newer browser.`);
        }
        const expected = bundle.manifest.inputs.map((tensor) => tensor.name).sort().join(", ");
        const found = [...session.inputNames].sort().join(", ");
        if (found !== expected || !session.outputNames.includes("logits")) {
            await session.release();
            throw new BundleError(`model.onnx: expected the inputs ${expected} and the output logits, found ${found}. Export the bundle again.`);
        }
        return new Classifier(tokenizer, session, bundle);
    }

    /**
     * Label a text. Throws InputError for a text that cannot be answered, and BrowserError when the engine fails.
     *
     * Returns the labels with their scores, best first, the number of tokens, whether tokens were cut, and times in milliseconds.
     */
    async classify(text) {
        const start = performance.now();
        const { inputs, tokens, truncated } = this.#tokenizer.encode(text);
        const tokenized = performance.now();
        const logits = await this.#logits(inputs);
        const finished = performance.now();
        const scores = scoresOfLabels(logits, this.#problemType);
        const ranked = this.#manifest.labels.map((label, index) => ({ label, score: scores[index] }));
        ranked.sort((one, other) => other.score - one.score);
        const times = { tokenizer: tokenized - start, model: finished - tokenized };
        return { scores: ranked, tokens, truncated, length: inputs.input_ids.length, times };
    }

    /** Free the memory of the engine. */
    async close() {
        await this.#session.release();
    }

    async #logits(inputs) {
        const feeds = {};
        for (const name of this.#session.inputNames) {
            feeds[name] = new ort.Tensor("int64", BigInt64Array.from(inputs[name], BigInt), [1, inputs[name].length]);
        }
        let logits;
        try {
            ({ logits } = await this.#session.run(feeds, ["logits"]));
        } catch (error) {
            throw new BrowserError(`ONNX Runtime failed (${error.message}). Reload the page.`);
        }
        const values = Array.from(logits.data);
        if (values.length !== this.#manifest.labels.length || !values.every(Number.isFinite)) {
            throw new BundleError(`model.onnx: expected ${this.#manifest.labels.length} finite logits, found ${values}. Export the bundle again.`);
        }
        return values;
    }
}
