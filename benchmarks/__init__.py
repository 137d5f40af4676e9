"""Commands that measure time and memory: `python -m benchmarks.NAME`, from the top folder."""
