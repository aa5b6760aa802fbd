"""Ways of running a model that are no part of the Python runtime, and how long they take."""
