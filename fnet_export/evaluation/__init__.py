"""What a bundle scores on labelled data, and what padding does to it."""
