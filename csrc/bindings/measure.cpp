#include "cpu/measure.h"

#include "bindings/array.h"
#include "bindings/register.h"
#include "cpu/dispatch.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

using VectorFunction = void (*)(const float*, float*, int64_t);

VectorFunction vector_function_of(const cpu::Kernels& kernels, const std::string& name) {
  if (name == "exp") return kernels.exp;
  if (name == "log") return kernels.log;
  if (name == "tanh") return kernels.tanh;
  if (name == "sigmoid") return kernels.sigmoid;
  throw std::invalid_argument("name must be one of exp, log, tanh, sigmoid, got " + name);
}

void vector_function(
    const std::string& name,
    const std::string& isa,
    const py::object& x,
    const py::object& out) {
  const Array from = array(x, "x");
  const Array to = array(out, "out");
  const float* values = core::elements<const float>(from.tensor, "x", {-1});
  float* results = core::elements<float>(to.tensor, "out", {from.tensor.shape[0]});
  vector_function_of(cpu::kernels_for(isa), name)(values, results, from.tensor.shape[0]);
}

}  // namespace

void register_measure(py::module_& module) {
  module.def(
      "vector_function", vector_function, py::arg("name"), py::arg("isa"), py::arg("x"),
      py::arg("out"));
  module.def(
      "fma_peak", cpu::fma_peak, py::arg("isa"), py::arg("threads"), py::arg("seconds"),
      py::call_guard<py::gil_scoped_release>());
  module.def(
      "read_bandwidth", cpu::read_bandwidth, py::arg("num_bytes"), py::arg("threads"),
      py::arg("seconds"), py::call_guard<py::gil_scoped_release>());
  module.def(
      "add_bandwidth", cpu::add_bandwidth, py::arg("num_bytes"), py::arg("threads"),
      py::arg("seconds"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace genfast::bindings
