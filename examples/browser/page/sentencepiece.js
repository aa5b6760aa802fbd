/** A SentencePiece model, by the library @agnai/sentencepiece-js, which website.py makes a module of. */

import { SentencePieceProcessor } from "./vendor/sentencepiece.js";
import { BundleError } from "./errors.js";
import { SPECIAL_TOKENS, UNK } from "./text_rules.js";

const [UNIGRAM, BPE] = [1, 2];

export class SentencePiece {
    #library;

    constructor(library) {
        this.#library = library;
    }

    /**
     * Open a spiece.model. Throws BundleError for other bytes, for a vocabulary without the special tokens of FNet, and for a model
     * that is not BPE: of two Unigram paths with equal scores, this library takes a different one from the runtimes.
     */
    static async open(bytes) {
        const library = new SentencePieceProcessor();
        await library.load(bytes);
        const status = library.processor.status();
        const found = status.ToString();
        status.delete();
        if (found !== "OK") {
            throw new BundleError(`spiece.model: is not a SentencePiece model (${found}). Export the bundle again.`);
        }
        const type = modelType(bytes);
        if (type !== BPE) {
            throw new BundleError(`spiece.model: expected a BPE model (type ${BPE}), found type ${type}. Use a runtime of Python or C++.`);
        }
        const model = new SentencePiece(library);
        const unknown = model.id(UNK);
        const missing = SPECIAL_TOKENS.filter((token) => token !== UNK && model.id(token) === unknown);
        if (missing.length) {
            throw new BundleError(`spiece.model: the vocabulary has no piece ${missing.join(", ")}; FNet needs all of them.`);
        }
        return model;
    }

    /** Return the ids of the pieces that the model cuts a text into. */
    ids(text) {
        return this.#library.encodeIds(text);
    }

    /** Return the spelling of the pieces that the model cuts a text into; '▁' stands for a space. */
    pieces(text) {
        return this.#library.encodePieces(text);
    }

    /** Return the id of a piece, which is the id of <unk> for a piece that is not in the vocabulary. */
    id(piece) {
        const text = new this.#library.sentencepiece.StringView(piece);
        const view = text.getView();
        const id = this.#library.processor.PieceToId(view);
        view.delete();
        text.delete();
        return id;
    }
}

/** Return the model_type (field 3) of the trainer_spec (field 2) in the protocol buffer of a model. */
function modelType(bytes) {
    const [, spec] = fieldsOfMessage(bytes).find(([field]) => field === 2) ?? [2, new Uint8Array()];
    const [, type] = fieldsOfMessage(spec).find(([field]) => field === 3) ?? [3, UNIGRAM];
    return type;
}

/** Return the fields of a protocol buffer that SentencePiece could read: pairs of a number and a value, bytes or an integer. */
function fieldsOfMessage(bytes) {
    const fields = [];
    let place = 0;
    const integer = () => {
        let [value, factor, byte] = [0, 1, 128];
        for (; byte >= 128; factor *= 128) {
            byte = bytes[place++] ?? 0;
            value += (byte % 128) * factor;
        }
        return value;
    };
    const taken = (size) => bytes.subarray(place, (place += size));
    const readers = { 0: integer, 1: () => taken(8), 2: () => taken(integer()), 5: () => taken(4) };
    while (place < bytes.length) {
        const tag = integer();
        fields.push([Math.floor(tag / 8), readers[tag % 8]?.()]);
    }
    return fields;
}
