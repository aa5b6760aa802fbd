/** The rules of the tokenizer flavour `fnet-slow` for the text around SentencePiece (docs/tokenizer.md states them). */

export const [UNK, PAD, CLS, SEP, MASK] = ["<unk>", "<pad>", "[CLS]", "[SEP]", "[MASK]"];
export const SPECIAL_TOKENS = [UNK, PAD, CLS, SEP, MASK];

/** The white space of Python's `str.isspace`. That of JavaScript has U+FEFF, and lacks U+001C to U+001F and U+0085. */
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const SPACES = new RegExp(`${SPACE}+`, "u");
const FINAL_SPACES = new RegExp(`${SPACE}+$`, "u");
const SPECIAL = /(<unk>|<pad>|\[CLS\]|\[SEP\]|\[MASK\])/u;
const QUOTES = /``|''/gu;
/** A last digit and a comma. The digits are those of Python's `str.isdigit`: decimal digits, and those that are not in a number. */
const DIGIT_COMMA = new RegExp(
    "[\\p{Nd}²³¹\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c\\u2488-\\u2490\\u24ea" +
        "\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e\\u2780-\\u2788\\u278a-\\u2792\\u{10a40}-\\u{10a43}\\u{10e60}-\\u{10e68}" +
        "\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}],$",
    "u",
);

/**
 * Cut a text at special tokens, and apply the rules to each text between two special tokens.
 *
 * Returns parts that are not empty, each either `{ special }` or `{ text }`.
 */
export function partsFromText(text, removeSpace) {
    const parts = text.split(SPECIAL).filter((part) => part !== "");
    return parts
        .map((part, index) => {
            if (SPECIAL_TOKENS.includes(part)) {
                return { special: part };
            }
            const kept = parts[index + 1] === MASK ? part.replace(FINAL_SPACES, "") : part; // a [MASK] takes the space before it
            return { text: ruled(kept, removeSpace) };
        })
        .filter((part) => part.text !== "");
}

/** Fold white space, and make one double quote of two backquotes or of two apostrophes. */
function ruled(text, removeSpace) {
    const folded = removeSpace ? text.split(SPACES).filter(Boolean).join(" ") : text;
    return folded.replace(QUOTES, '"');
}

/** Return whether the rules cut a piece again: it ends in a digit and a comma. */
export function isDigitComma(piece) {
    return DIGIT_COMMA.test(piece);
}
