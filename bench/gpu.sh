#!/usr/bin/env bash
# Everything that needs a GPU, in ten minutes: builds the package, runs its tests for a GPU and small
# draws under compute-sanitizer, then every benchmark of a GPU.
#
#   bench/gpu.sh                  writes bench/results/gpu-*.json, and logs to bench/results/gpu-logs
#   OUT=folder bench/gpu.sh       writes there
#   BUDGET=300 bench/gpu.sh       in so many seconds
#   GENFAST_CORE=folder ...       takes the extension built before in that folder: nothing is built
#   PYTHON=python3.11 ...         the interpreter, whose environment has torch with CUDA and pytest;
#                                 to build pybind11, scikit-build-core, cmake, ninja, and nvcc on the path
#
# A stage has its own limit, and none goes on beyond the budget. What each printed, its exit status
# and its seconds are kept; a later stage runs even if one before it failed. The exit status is 1 if
# the build or a check of correctness failed, else 2 if only a benchmark did, 3 without a GPU.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
  echo "no GPU: nothing was built, tested or measured"
  exit 3
fi

root=$PWD
python=${PYTHON:-python3}
out=${OUT:-bench/results}
mkdir -p "$out/gpu-logs"
out=$(cd "$out" && pwd)
deadline=$((SECONDS + ${BUDGET:-570}))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stages=$work/stages status=0

# record NAME STATUS SECONDS LIMIT: one more line of gpu-run.json, which is whole after every stage.
record() {
  printf '{"stage": "%s", "status": %s, "seconds": %s, "limit": %s}\n' "$@" >>"$stages"
  {
    printf '{"bench": "gpu-run", "gpu": "%s", "stages": [\n' "$gpu"
    sed '$!s/$/,/' "$stages"
    printf ']}\n'
  } >"$out/gpu-run.json"
}

# stage NAME SECONDS WORTH COMMAND...: WORTH is what the exit status becomes where it fails.
stage() {
  local name=$1 limit=$2 worth=$3 left=$((deadline - SECONDS)) began=$SECONDS code
  shift 3
  [ "$limit" -le "$left" ] || limit=$left
  if [ "$limit" -lt 5 ]; then
    code=124
    echo "no time was left" >"$out/gpu-logs/$name.log"
  else
    timeout -k 5 "$limit" "$@" >"$out/gpu-logs/$name.log" 2>&1 </dev/null
    code=$?
  fi
  printf '\n== %s: exit status %s after %d s (limit %d s)\n' "$name" "$code" $((SECONDS - began)) "$limit"
  tail -n 15 "$out/gpu-logs/$name.log"
  record "$name" "$code" $((SECONDS - began)) "$limit"
  if [ "$code" -ne 0 ] && { [ "$status" -eq 0 ] || [ "$worth" -lt "$status" ]; }; then
    status=$worth
  fi
}

gpu=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1)
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1)
architecture=${capability/./}
# The instructions of sm_90 and newer that are its own want the letter.
[ "$architecture" -lt 90 ] || architecture+=a

build() {
  cp -r "$root/python/genfast" "$work/genfast" && rm -f "$work"/genfast/_core*.so || return
  if [ -n "${GENFAST_CORE:-}" ]; then
    cp "$GENFAST_CORE"/_core*.so "$work/genfast/"
  elif ! "$python" -m pip install --no-build-isolation --no-index --no-deps --upgrade --target "$work" \
    -C cmake.define.GENFAST_CUDA=ON -C "cmake.define.CMAKE_CUDA_ARCHITECTURES=$architecture-real" .; then
    echo "pip could not: by cmake alone"
    cmake -G Ninja -S . -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DGENFAST_CUDA=ON \
      -DCMAKE_CUDA_ARCHITECTURES="$architecture-real" -DPython_EXECUTABLE="$(command -v "$python")" \
      -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" &&
      cmake --build "$work/build" && cp "$work"/build/_core*.so "$work/genfast/"
  fi || return
  cd "$work" && "$python" -c '
from genfast._extension import core
print(core.__file__, core.build_info(), core.cuda_devices())
raise SystemExit(not core.cuda_devices())'
}

# Of the tests for a GPU, one that cannot run is a failure here: nothing passes by being skipped.
tests() {
  mapfile -t files < <(grep -rl --include='test_*.py' 'mark\.cuda' tests)
  [ "${#files[@]}" -gt 0 ] || return
  GENFAST_REQUIRE_GPU=1 "$python" -m pytest -m cuda -q "${files[@]}"
}

sanitize() {
  local tool
  tool=$(PATH=$PATH:$(dirname "$(readlink -f "$(command -v nvcc)")"):/usr/local/cuda/bin command -v compute-sanitizer) ||
    { echo "no compute-sanitizer"; return 127; }
  # Each tensor is an allocation of its own: in PyTorch's cache nobody would see a write beyond one.
  PYTORCH_NO_CUDA_MEMORY_CACHING=1 "$tool" --tool "$1" --error-exitcode 9 "$python" -m bench.gpu_small
}

bench() {
  local name=$1
  shift
  "$python" -m "bench.bench_gpu_$name" --out "$out/gpu-$name.json" "$@"
}

export root python work architecture out
export -f build tests sanitize bench
export PYTHONPATH=$work:$root${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

stage build 240 1 bash -c build
unset GENFAST_CORE
stage tests 90 1 bash -c tests
stage memcheck 60 1 bash -c 'sanitize memcheck'
stage racecheck 60 1 bash -c 'sanitize racecheck'
# What takes no compiler first: so there are figures of all, whatever torch.compile takes. Then the
# same rows again with it, for as long as there is time; each replaces the row without.
stage machine 40 2 bash -c 'bench machine --budget 25'
stage recurrent 80 2 bash -c 'bench recurrent --no-compile --budget 55'
stage pixelcnn 80 2 bash -c 'bench pixelcnn --no-compile --budget 45'
stage reparameterize 40 2 bash -c 'bench reparameterize --no-compile --budget 20'
stage recurrent-compiled 150 2 bash -c 'bench recurrent --resume --budget 90'
stage pixelcnn-compiled 150 2 bash -c 'bench pixelcnn --resume --budget 60'
stage reparameterize-compiled 60 2 bash -c 'bench reparameterize --resume --budget 30'

printf '\nresults: %s/gpu-*.json, in %d s\n' "$out" "$SECONDS"
exit "$status"
