#include <pybind11/stl.h>

#include "bindings/array.h"
#include "bindings/register.h"
#include "core/hash.h"
#include "cpu/dispatch.h"
#include "cuda/cuda.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

py::dict build_info() {
  py::dict info;
  info["version"] = GENFAST_VERSION;
  info["compiler"] = GENFAST_COMPILER;
  info["isas"] = cpu::compiled_isas();
  info["cuda"] = cuda::built();
  info["cuda_architectures"] = cuda::architectures();
  return info;
}

uint64_t weight_hash(const std::vector<py::object>& objects) {
  std::vector<Array> arrays;
  std::vector<core::Tensor> tensors;
  for (const py::object& object : objects) {
    arrays.push_back(array(object, "weight_hash: arrays"));
    tensors.push_back(arrays.back().tensor);
  }
  const py::gil_scoped_release release;
  return core::weight_hash(tensors);
}

}  // namespace

void register_build(py::module_& module) {
  module.def("build_info", build_info);
  module.def("isas", cpu::available_isas);
  module.def("default_isa", [] { return std::string(cpu::kernels_for("").name); });
  module.def("cuda_devices", cuda::devices);
  module.def("weight_hash", weight_hash, py::arg("arrays"));
}

}  // namespace genfast::bindings
