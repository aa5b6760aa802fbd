"""Read the folder that an export hands over, and check it."""
