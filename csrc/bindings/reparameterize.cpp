#include "ops/reparameterize.h"

#include <optional>

#include "bindings/array.h"
#include "bindings/register.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

void reparameterize(
    const py::object& mean,
    const py::object& logvar,
    uint64_t seed,
    uint64_t index,
    const py::object& z,
    const py::object& kl,
    int threads,
    const std::string& isa) {
  const Array arrays[] = {rows(mean, "mean"), rows(logvar, "logvar"), rows(z, "z"), rows(kl, "kl")};
  const py::gil_scoped_release release;
  ops::reparameterize(
      arrays[0].tensor, arrays[1].tensor, {seed, index}, arrays[2].tensor, arrays[3].tensor,
      {threads, isa});
}

void reparameterize_backward(
    const py::object& grad_z,
    const py::object& grad_kl,
    const py::object& mean,
    const py::object& logvar,
    uint64_t seed,
    uint64_t index,
    const py::object& by_mean,
    const py::object& by_logvar,
    int threads,
    const std::string& isa) {
  const auto optional = [](const py::object& object, const char* argument) {
    return object.is_none() ? std::nullopt : std::optional<Array>(rows(object, argument));
  };
  const std::optional<Array> grads[] = {optional(grad_z, "grad_z"), optional(grad_kl, "grad_kl")};
  const Array arrays[] = {
      rows(mean, "mean"), rows(logvar, "logvar"), rows(by_mean, "by_mean"),
      rows(by_logvar, "by_logvar")};
  const auto tensor = [](const std::optional<Array>& given) {
    return given ? &given->tensor : nullptr;
  };
  const py::gil_scoped_release release;
  ops::reparameterize_backward(
      tensor(grads[0]), tensor(grads[1]), arrays[0].tensor, arrays[1].tensor, {seed, index},
      arrays[2].tensor, arrays[3].tensor, {threads, isa});
}

void normals(
    const py::object& seeds,
    const py::object& indices,
    const py::object& mass,
    const py::object& out,
    int threads,
    const std::string& isa) {
  const Array arrays[] = {array(seeds, "seeds"), array(indices, "indices"), array(out, "out")};
  const std::optional<Array> share =
      mass.is_none() ? std::nullopt : std::optional<Array>(array(mass, "mass"));
  const py::gil_scoped_release release;
  ops::normals(
      arrays[0].tensor, arrays[1].tensor, share ? &share->tensor : nullptr, arrays[2].tensor,
      {threads, isa});
}

}  // namespace

void register_reparameterize(py::module_& module) {
  module.def(
      "reparameterize", reparameterize, py::arg("mean"), py::arg("logvar"), py::arg("seed"),
      py::arg("index"), py::arg("z"), py::arg("kl"), py::arg("threads"), py::arg("isa") = "");
  module.def(
      "reparameterize_backward", reparameterize_backward, py::arg("grad_z"), py::arg("grad_kl"),
      py::arg("mean"), py::arg("logvar"), py::arg("seed"), py::arg("index"), py::arg("by_mean"),
      py::arg("by_logvar"), py::arg("threads"), py::arg("isa") = "");
  module.def(
      "normals", normals, py::arg("seeds"), py::arg("indices"), py::arg("mass"), py::arg("out"),
      py::arg("threads"), py::arg("isa") = "");
}

}  // namespace genfast::bindings
