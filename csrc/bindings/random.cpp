#include "bindings/array.h"
#include "bindings/register.h"
#include "core/threefry.h"
#include "cpu/dispatch.h"
#include "cuda/cuda.h"
#include "cuda/uniform_pairs.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

// Arrays of rows, kept alive, and their pointers.
struct RowArrays {
  Array arrays[4];
  cuda::UniformRows rows;
};

RowArrays row_arrays(
    const py::object& seeds,
    const py::object& indices,
    const py::object& first,
    const py::object& out,
    int device) {
  RowArrays all{
      {array(seeds, "seeds", device), array(indices, "indices", device),
       array(first, "first", device), array(out, "out", device)},
      {}};
  all.rows.out = core::elements<float>(all.arrays[3].tensor, "out", {-1, -1});
  const int64_t n = all.arrays[3].tensor.shape[0];
  all.rows.rows = static_cast<uint64_t>(n);
  all.rows.columns = static_cast<uint64_t>(all.arrays[3].tensor.shape[1]);
  all.rows.seeds = core::elements<const int64_t>(all.arrays[0].tensor, "seeds", {n});
  all.rows.indices = core::elements<const int64_t>(all.arrays[1].tensor, "indices", {n});
  all.rows.first = core::elements<const int64_t>(all.arrays[2].tensor, "first", {n});
  return all;
}

void uniforms(
    const py::object& seeds,
    const py::object& indices,
    const py::object& first,
    const py::object& out) {
  const RowArrays arrays = row_arrays(seeds, indices, first, out, 1);
  const cuda::UniformRows& all = arrays.rows;
  const auto draws = static_cast<int64_t>(all.columns);
  for (uint64_t row = 0; row < all.rows; ++row) {
    core::require(all.seeds[row] >= 0, "seeds must be in [0, 2**63), got ", all.seeds[row]);
    core::require(
        all.indices[row] >= 0 && all.indices[row] >> 32 == 0, "indices must be in [0, 2**32), got ",
        all.indices[row]);
    core::require(
        all.first[row] >= 0 && all.first[row] <= (int64_t{1} << 33) - draws,
        "first + draws must be at most 2**33, got ", all.first[row], " + ", draws);
  }
  const py::gil_scoped_release release;
  const cpu::Kernels& kernels = cpu::kernels_for("");
  for (uint64_t i = 0; i < all.rows; ++i) {
    const cuda::UniformRow row = cuda::row_of(all, i);
    kernels.uniforms(row.seed, row.sample, row.first, draws, row.out);
  }
}

// Seeds have 63 bits, so a key whose top bit is set belongs to no draw.
uint64_t fold(uint64_t seed, uint32_t tag, uint32_t value) {
  core::require(seed >> 63 == 0, "seed must be in [0, 2**63), got ", seed);
  const uint32_t high = static_cast<uint32_t>(seed >> 32) | 0x80000000u;
  const core::Words words = core::threefry2x32(static_cast<uint32_t>(seed), high, tag, value);
  return (static_cast<uint64_t>(words.second & 0x7fffffffu) << 32) | words.first;
}

void cuda_uniforms(
    const py::object& seeds,
    const py::object& indices,
    const py::object& first,
    const py::object& out,
    uintptr_t stream) {
  const RowArrays all = row_arrays(seeds, indices, first, out, 2);
  const py::gil_scoped_release release;
  cuda::uniforms(all.rows, stream);
}

// The kernel of cuda_uniforms in plain loops, over as many blocks as a launch covers.
void simulated_uniforms(
    const py::object& seeds,
    const py::object& indices,
    const py::object& first,
    const py::object& out) {
  const RowArrays arrays = row_arrays(seeds, indices, first, out, 1);
  const cuda::UniformRows& rows = arrays.rows;
  for (uint64_t i = 0; i < rows.rows; ++i) {
    const cuda::UniformRow row = cuda::row_of(rows, i);
    for (uint64_t block = 0; block < cuda::blocks_of(row.first, row.columns); ++block)
      cuda::fill_block(row, block);
  }
}

}  // namespace

void register_random(py::module_& module) {
  module.def(
      "uniforms", uniforms, py::arg("seeds"), py::arg("indices"), py::arg("first"), py::arg("out"));
  module.def("fold", fold, py::arg("seed"), py::arg("tag"), py::arg("value"));
  module.def(
      "cuda_uniforms", cuda_uniforms, py::arg("seeds"), py::arg("indices"), py::arg("first"),
      py::arg("out"), py::arg("stream"));
  module.def(
      "_simulated_uniforms", simulated_uniforms, py::arg("seeds"), py::arg("indices"),
      py::arg("first"), py::arg("out"));
}

}  // namespace genfast::bindings
