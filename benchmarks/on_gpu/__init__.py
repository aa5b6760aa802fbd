"""What benchmarks/gpu.py does on a machine with an NVIDIA GPU, one noun per file."""
