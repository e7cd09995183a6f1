#include "ops/masked_conv2d.h"

#include <optional>

#include "bindings/array.h"
#include "bindings/register.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

// An array, or nothing.
struct Optional {
  Optional(const py::object& object, const char* argument) {
    if (!object.is_none()) given = array(object, argument);
  }
  const core::Tensor* tensor() const { return given ? &given->tensor : nullptr; }

  std::optional<Array> given;
};

void masked_conv2d(
    const py::object& input,
    const py::object& weight,
    const py::object& bias,
    const py::object& mask,
    int64_t above,
    int64_t left,
    const py::object& output,
    int threads,
    const std::string& isa) {
  const Array arrays[] = {array(input, "input"), array(weight, "weight"), array(output, "output")};
  const Optional optional[] = {{bias, "bias"}, {mask, "mask"}};
  const py::gil_scoped_release release;
  ops::masked_conv2d(
      {arrays[1].tensor, optional[1].tensor(), above, left}, arrays[0].tensor, optional[0].tensor(),
      arrays[2].tensor, {threads, isa});
}

void masked_conv2d_backward(
    const py::object& grad,
    const py::object& input,
    const py::object& weight,
    const py::object& mask,
    int64_t above,
    int64_t left,
    const py::object& by_input,
    const py::object& by_weight,
    const py::object& by_bias,
    int threads,
    const std::string& isa) {
  const Array arrays[] = {array(grad, "grad"), array(input, "input"), array(weight, "weight")};
  const Optional optional[] = {
      {mask, "mask"}, {by_input, "by_input"}, {by_weight, "by_weight"}, {by_bias, "by_bias"}};
  const py::gil_scoped_release release;
  ops::masked_conv2d_backward(
      {arrays[2].tensor, optional[0].tensor(), above, left}, arrays[0].tensor, arrays[1].tensor,
      optional[1].tensor(), optional[2].tensor(), optional[3].tensor(), {threads, isa});
}

}  // namespace

void register_masked_conv2d(py::module_& module) {
  module.def(
      "masked_conv2d", masked_conv2d, py::arg("input"), py::arg("weight"), py::arg("bias"),
      py::arg("mask"), py::arg("above"), py::arg("left"), py::arg("output"), py::arg("threads"),
      py::arg("isa") = "");
  module.def(
      "masked_conv2d_backward", masked_conv2d_backward, py::arg("grad"), py::arg("input"),
      py::arg("weight"), py::arg("mask"), py::arg("above"), py::arg("left"), py::arg("by_input"),
      py::arg("by_weight"), py::arg("by_bias"), py::arg("threads"), py::arg("isa") = "");
}

}  // namespace genfast::bindings
