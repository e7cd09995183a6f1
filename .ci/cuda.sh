#!/usr/bin/env bash
# With nvcc on the path the install before this must have compiled the CUDA sources: AUTO may leave them
# out only where there is no compiler. What was compiled is said, and that it needs no library of CUDA's
# or PyTorch's is checked: the runtime of CUDA is linked in, and finds the driver by itself.
set -euo pipefail
cd "$(mktemp -d)"  # away from the checkout, so that the installed package is imported
core=$(python -c 'from genfast._extension import core; print(core.__file__)')
needed=$(readelf -d "$core" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
echo "needs" $needed
if grep -E '^lib(torch|c10|cudart|cuda|cublas|cudnn|nvrtc)' <<<"$needed"; then
  echo "the core must not need this" >&2
  exit 1
fi
if ! command -v nvcc >/dev/null; then
  echo "no nvcc: the CUDA sources were not compiled"
  exit 0
fi
python - <<'PYTHON'
from genfast._extension import core

info = core.build_info()
if not info["cuda"]:
    raise SystemExit("nvcc is on the path, but the installed core was built without CUDA")
print("compiled for", ", ".join(info["cuda_architectures"]), "| GPUs here:", core.cuda_devices())
PYTHON
