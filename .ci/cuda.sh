#!/usr/bin/env bash
# With nvcc on the path the install before this must have compiled the CUDA sources: AUTO may leave them
# out only where there is no compiler.
set -euo pipefail
if ! command -v nvcc >/dev/null; then
  echo "no nvcc: the CUDA sources were not compiled"
  exit 0
fi
cd "$(mktemp -d)"  # away from the checkout, so that the installed package is imported
python - <<'PYTHON'
from genfast._extension import core

info = core.build_info()
if not info["cuda"]:
    raise SystemExit("nvcc is on the path, but the installed core was built without CUDA")
print("compiled for", ", ".join(info["cuda_architectures"]), "| GPUs here:", core.cuda_devices())
PYTHON
