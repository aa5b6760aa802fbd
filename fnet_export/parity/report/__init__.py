"""What a parity check found, as JSON, a page, JUnit XML and tables."""
