"""The folder that an export hands over, checked."""
