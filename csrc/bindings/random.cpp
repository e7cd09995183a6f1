#include "bindings/array.h"
#include "bindings/register.h"
#include "core/threefry.h"
#include "cpu/dispatch.h"
#include "cuda/cuda.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

void uniforms(
    const py::object& seeds,
    const py::object& indices,
    const py::object& first,
    const py::object& out) {
  const Array arrays[] = {
      array(seeds, "seeds"), array(indices, "indices"), array(first, "first"), array(out, "out")};
  float* to = core::elements<float>(arrays[3].tensor, "out", {-1, -1});
  const int64_t rows = arrays[3].tensor.shape[0];
  const int64_t draws = arrays[3].tensor.shape[1];
  const int64_t* seed = core::elements<const int64_t>(arrays[0].tensor, "seeds", {rows});
  const int64_t* index = core::elements<const int64_t>(arrays[1].tensor, "indices", {rows});
  const int64_t* begin = core::elements<const int64_t>(arrays[2].tensor, "first", {rows});
  for (int64_t row = 0; row < rows; ++row) {
    core::require(seed[row] >= 0, "seeds must be in [0, 2**63), got ", seed[row]);
    core::require(
        index[row] >= 0 && index[row] >> 32 == 0, "indices must be in [0, 2**32), got ",
        index[row]);
    core::require(
        begin[row] >= 0 && begin[row] <= (int64_t{1} << 33) - draws,
        "first + draws must be at most 2**33, got ", begin[row], " + ", draws);
  }
  const py::gil_scoped_release release;
  const cpu::Kernels& kernels = cpu::kernels_for("");
  for (int64_t row = 0; row < rows; ++row)
    kernels.uniforms(
        static_cast<uint64_t>(seed[row]), static_cast<uint32_t>(index[row]),
        static_cast<uint64_t>(begin[row]), draws, to + row * draws);
}

// Seeds have 63 bits, so a key whose top bit is set belongs to no draw.
uint64_t fold(uint64_t seed, uint32_t tag, uint32_t value) {
  core::require(seed >> 63 == 0, "seed must be in [0, 2**63), got ", seed);
  const uint32_t high = static_cast<uint32_t>(seed >> 32) | 0x80000000u;
  const core::Words words = core::threefry2x32(static_cast<uint32_t>(seed), high, tag, value);
  return (static_cast<uint64_t>(words.second & 0x7fffffffu) << 32) | words.first;
}

void cuda_uniforms(
    uint64_t seed,
    uint64_t index,
    uint64_t first,
    const py::object& out,
    uintptr_t stream) {
  const Array to = array(out, "out", 2);
  float* data = core::elements<float>(to.tensor, "out", {-1, -1});
  const py::gil_scoped_release release;
  cuda::uniforms(seed, index, first, data, to.tensor.shape[0], to.tensor.shape[1], stream);
}

}  // namespace

void register_random(py::module_& module) {
  module.def(
      "uniforms", uniforms, py::arg("seeds"), py::arg("indices"), py::arg("first"), py::arg("out"));
  module.def("fold", fold, py::arg("seed"), py::arg("tag"), py::arg("value"));
  module.def(
      "cuda_uniforms", cuda_uniforms, py::arg("seed"), py::arg("index"), py::arg("first"),
      py::arg("out"), py::arg("stream"));
}

}  // namespace genfast::bindings
