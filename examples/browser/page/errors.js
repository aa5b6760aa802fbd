/** The errors that the page shows as they are. Each says what failed, what was expected, what was found and what to do. */

/** A bundle that is not whole, was altered, or is of a kind that this page does not run. */
export class BundleError extends Error {
    name = "BundleError";
}

/** A text that cannot be answered. */
export class InputError extends Error {
    name = "InputError";
}

/** A browser that lacks what the page needs, or an engine that failed in it. */
export class BrowserError extends Error {
    name = "BrowserError";
}
