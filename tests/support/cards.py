"""What is in the README.md of a bundle."""

import re

from fnet_runtime.bundle.manifest import CARD


def card_of(folder):
    return (folder / CARD).read_text("utf-8")


def blocks_of(card, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
