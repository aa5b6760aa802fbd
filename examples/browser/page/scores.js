/** Scores of logits, by the rule of the runtimes (docs/run.md). */

/** Return the score of each label: plain for a regression, a sigmoid for a single label and for several labels at once, else a softmax. */
export function scoresOfLabels(logits, problemType) {
    if (problemType === "regression") {
        return logits;
    }
    if (problemType === "multi_label_classification" || logits.length === 1) {
        return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
    }
    const largest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - largest));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
}
