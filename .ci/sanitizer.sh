#!/usr/bin/env bash
# sanitizer.sh asan|tsan FOLDER: builds the core with a sanitizer and runs the NumPy-only tests on it.
set -euo pipefail
preset=$1 folder=$2

cmake --preset "$preset" -B "$folder" -DPython_EXECUTABLE="$(command -v python)" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" >"$folder.log" || { cat "$folder.log"; exit 1; }
cmake --build "$folder"

# The interpreter itself is not instrumented, so the sanitizers' libraries come first by LD_PRELOAD;
# libstdc++ with them, or their interceptor of exceptions finds nothing to call.
library() { g++ -print-file-name="$1"; }
case $preset in
  asan)
    preload="$(library libasan.so) $(library libubsan.so) $(library libstdc++.so)"
    options=(-p xdist --numprocesses 2)
    ;;
  tsan)
    preload="$(library libtsan.so) $(library libstdc++.so)"
    options=(-k threads)
    ;;
esac

# Python keeps memory until the process ends, so leaks are not looked for.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1 OPENBLAS_NUM_THREADS=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
# --confcutdir keeps the tests' main conftest away, and with it torch.
GENFAST_CORE="$folder" LD_PRELOAD=$preload python -m pytest -q -p no:cacheprovider \
  --confcutdir=tests/core tests/core "${options[@]}"
