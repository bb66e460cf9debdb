"""Safetensors, read without trust: headers, dtypes, shard indexes. Numpy only."""
