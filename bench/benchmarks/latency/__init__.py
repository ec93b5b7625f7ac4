"""Latency measured on a device, as a table of blocks: its file, what it predicts, benchmarks that search with it."""
