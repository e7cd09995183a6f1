"""Benchmarks: one file a question, `python -m bench.bench_recurrent` from the repository's root."""
