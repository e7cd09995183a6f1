"""Benchmarks: one file a question, `python -m bench.bench_recurrent` from the repository's root."""

import os

# Inductor compiles in this process: a pool of its workers would live on, on the cores of others.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
