/** Cut texts into token ids, and make inputs of a model of them, as the manifest of a bundle asks (docs/tokenizer.md). */

import { BundleError, InputError } from "./errors.js";
import { SentencePiece } from "./sentencepiece.js";
import { CLS, PAD, SEP, isDigitComma, partsFromText } from "./text_rules.js";

const UNDERLINE = "▁";

/** The longest text that the page takes, in bytes of UTF-8. */
export const MAX_TEXT_BYTES = 1 << 18;

export class Tokenizer {
    #model;
    #manifest;

    constructor(model, manifest) {
        this.#model = model;
        this.#manifest = manifest;
    }

    /** Open the tokenizer of a bundle: its spiece.model, and the rules in its manifest. Throws BundleError. */
    static async open(bytes, manifest) {
        const model = await SentencePiece.open(bytes);
        const pad = model.id(PAD);
        if (pad !== manifest.pad_token_id) {
            throw new BundleError(`spiece.model: expected <pad> at ${manifest.pad_token_id}, found it at ${pad}. Export the bundle again.`);
        }
        return new Tokenizer(model, manifest);
    }

    /** Return the ids of a text, without [CLS] and [SEP]. Throws InputError for a text that is too long or is not Unicode. */
    ids(text) {
        checkText(text);
        const { flavour, remove_space: removeSpace } = this.#manifest.tokenizer;
        if (flavour !== "fnet-slow") {
            return this.#model.ids(text);
        }
        return partsFromText(text, removeSpace).flatMap((part) => (part.special ? [this.#model.id(part.special)] : this.#plainIds(part.text)));
    }

    /**
     * Make the inputs of the model for one text: [CLS] and [SEP] around its ids, cut and padded as the manifest says.
     *
     * Returns arrays by the names of inputs, the number of tokens before padding, and whether tokens were cut.
     */
    encode(text) {
        const ids = this.ids(text);
        const { sequence_length: length, padding, pad_to_multiple_of: multiple, pad_token_id: pad } = this.#manifest;
        const cutAtEnd = this.#manifest.tokenizer.flavour === "f_net"; // only there, the last [SEP] is cut first
        if (!cutAtEnd && length < 2) {
            throw new InputError(`The sequence length ${length} is too short: [CLS] and [SEP] take 2 tokens.`);
        }
        const kept = cutAtEnd ? ids : ids.slice(0, length - 2);
        const framed = [this.#model.id(CLS), ...kept, this.#model.id(SEP)].slice(0, length);
        const padded = padding === "max_length" ? length : Math.ceil(framed.length / multiple) * multiple;
        return {
            inputs: {
                input_ids: Array.from({ length: padded }, (_, index) => framed[index] ?? pad),
                token_type_ids: new Array(padded).fill(0),
                attention_mask: Array.from({ length: padded }, (_, index) => Number(index < framed.length)),
            },
            tokens: framed.length,
            truncated: ids.length > Math.min(kept.length, length - 1),
        };
    }

    /** Return the ids of a text without special tokens. A piece that ends in a digit and a comma is cut again. */
    #plainIds(text) {
        const ids = this.#model.ids(text);
        const pieces = this.#model.pieces(text);
        return ids.flatMap((id, index) => (isDigitComma(pieces[index]) ? this.#digitCommaIds(pieces[index]) : [id]));
    }

    /** Return the ids of the pieces of '10' and of ',' for a piece such as '▁10,'. */
    #digitCommaIds(piece) {
        let pieces = this.#model.pieces(piece.slice(0, -1).replaceAll(UNDERLINE, ""));
        if (!piece.startsWith(UNDERLINE) && pieces[0].startsWith(UNDERLINE)) {
            pieces = pieces[0] === UNDERLINE ? pieces.slice(1) : [pieces[0].slice(1), ...pieces.slice(1)];
        }
        return [...pieces, ","].map((part) => this.#model.id(part));
    }
}

/** Throw InputError for a text that is too long, or that holds a half of a surrogate pair. */
export function checkText(text) {
    const size = text.length > MAX_TEXT_BYTES ? text.length : new TextEncoder().encode(text).length;
    if (size > MAX_TEXT_BYTES) {
        throw new InputError(`Expected a text of at most ${MAX_TEXT_BYTES} bytes of UTF-8, found more. Shorten the text.`);
    }
    const half = text.search(/\p{Surrogate}/u);
    if (half >= 0) {
        throw new InputError(`The text is not valid Unicode: half of a surrogate pair at character ${half}. Remove that character.`);
    }
}
