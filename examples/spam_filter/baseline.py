"""The yardstick of the spam filter: bag-of-words logistic regression on the same split.

python examples/spam_filter/baseline.py [--corpus DIR]
"""

import argparse
from pathlib import Path

from corpus import Message, prepared
from score import Score, score
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse regularisation; the validation split chooses."""


def baseline(parts: dict[str, list[Message]]) -> Score:
    """Fit on the training split, choose on the validation split, score on the test split."""
    texts = {name: [message.text for message in part] for name, part in parts.items()}
    labels = {name: [message.label for message in part] for name, part in parts.items()}
    fitted = [
        make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), LogisticRegression(C=strength, max_iter=1000)).fit(
            texts["train"], labels["train"]
        )
        for strength in STRENGTHS
    ]
    best = max(fitted, key=lambda model: model.score(texts["validation"], labels["validation"]))
    return score(best.predict(texts["test"]).tolist(), labels["test"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Score a bag-of-words baseline.")
    parser.add_argument("--corpus", type=Path, help="folder of the unpacked npm package; fetched with npm if absent")
    print(baseline(prepared(parser.parse_args().corpus)))
