/** What the page needs from a browser. */

import { BrowserError } from "./errors.js";

/** A module of one function with an instruction on vectors: a browser that accepts it has WebAssembly with SIMD. */
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

/** Throw BrowserError unless the browser can run the engine and check hashes. */
export function needsFromBrowser() {
    if (typeof WebAssembly === "undefined" || !WebAssembly.validate(new Uint8Array(SIMD))) {
        throw new BrowserError("This browser cannot run WebAssembly with SIMD. Use a current release of Chromium, Firefox or Safari.");
    }
    if (!globalThis.crypto?.subtle) {
        throw new BrowserError("This browser cannot check hashes at this address. Use https, or http://127.0.0.1.");
    }
}
