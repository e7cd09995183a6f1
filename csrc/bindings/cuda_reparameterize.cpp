#include "ops/cuda_reparameterize.h"

#include <optional>

#include "bindings/array.h"
#include "bindings/register.h"
#include "cuda/reparameterize.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

// DLPack's numbers of a GPU, and of the host that simulates one.
int device_of(const ops::GpuEngine& engine) { return engine.simulated_blocks > 0 ? 1 : 2; }

void forward(
    const py::object& mean,
    const py::object& logvar,
    const ops::Draw& draw,
    const py::object& z,
    const py::object& kl,
    const py::object& parts,
    const ops::GpuEngine& engine) {
  const int device = device_of(engine);
  const Array arrays[] = {
      rows(mean, "mean", device), rows(logvar, "logvar", device), rows(z, "z", device),
      rows(kl, "kl", device), rows(parts, "parts", device)};
  const py::gil_scoped_release release;
  ops::cuda_reparameterize(
      arrays[0].tensor, arrays[1].tensor, draw, arrays[2].tensor, arrays[3].tensor,
      arrays[4].tensor, engine);
}

void backward(
    const py::object& grad_z,
    const py::object& grad_kl,
    const py::object& mean,
    const py::object& logvar,
    const ops::Draw& draw,
    const py::object& by_mean,
    const py::object& by_logvar,
    const ops::GpuEngine& engine) {
  const int device = device_of(engine);
  const auto optional = [&](const py::object& object, const char* argument) {
    return object.is_none() ? std::nullopt : std::optional<Array>(rows(object, argument, device));
  };
  const std::optional<Array> grads[] = {optional(grad_z, "grad_z"), optional(grad_kl, "grad_kl")};
  const Array arrays[] = {
      rows(mean, "mean", device), rows(logvar, "logvar", device), rows(by_mean, "by_mean", device),
      rows(by_logvar, "by_logvar", device)};
  const auto tensor = [](const std::optional<Array>& given) {
    return given ? &given->tensor : nullptr;
  };
  const py::gil_scoped_release release;
  ops::cuda_reparameterize_backward(
      tensor(grads[0]), tensor(grads[1]), arrays[0].tensor, arrays[1].tensor, draw,
      arrays[2].tensor, arrays[3].tensor, engine);
}

ops::GpuEngine simulated(int64_t blocks) {
  core::require(blocks > 0, "blocks must be above 0, got ", blocks);
  return {0, blocks};
}

}  // namespace

void register_cuda_reparameterize(py::module_& module) {
  using Object = const py::object&;
  module.def(
      "cuda_reparameterize_parts", cuda::reparameterize_parts, py::arg("columns"),
      py::arg("item_bytes"));
  module.def(
      "cuda_reparameterize",
      [](Object mean, Object logvar, uint64_t seed, uint64_t index, Object z, Object kl,
         Object parts,
         uintptr_t stream) { forward(mean, logvar, {seed, index}, z, kl, parts, {stream, 0}); },
      py::arg("mean"), py::arg("logvar"), py::arg("seed"), py::arg("index"), py::arg("z"),
      py::arg("kl"), py::arg("parts"), py::arg("stream"));
  module.def(
      "_simulated_reparameterize",
      [](Object mean, Object logvar, uint64_t seed, uint64_t index, Object z, Object kl,
         Object parts,
         int64_t blocks) { forward(mean, logvar, {seed, index}, z, kl, parts, simulated(blocks)); },
      py::arg("mean"), py::arg("logvar"), py::arg("seed"), py::arg("index"), py::arg("z"),
      py::arg("kl"), py::arg("parts"), py::arg("blocks"));
  module.def(
      "cuda_reparameterize_backward",
      [](Object grad_z, Object grad_kl, Object mean, Object logvar, uint64_t seed, uint64_t index,
         Object by_mean, Object by_logvar, uintptr_t stream) {
        backward(grad_z, grad_kl, mean, logvar, {seed, index}, by_mean, by_logvar, {stream, 0});
      },
      py::arg("grad_z"), py::arg("grad_kl"), py::arg("mean"), py::arg("logvar"), py::arg("seed"),
      py::arg("index"), py::arg("by_mean"), py::arg("by_logvar"), py::arg("stream"));
  module.def(
      "_simulated_reparameterize_backward",
      [](Object grad_z, Object grad_kl, Object mean, Object logvar, uint64_t seed, uint64_t index,
         Object by_mean, Object by_logvar, int64_t blocks) {
        backward(
            grad_z, grad_kl, mean, logvar, {seed, index}, by_mean, by_logvar, simulated(blocks));
      },
      py::arg("grad_z"), py::arg("grad_kl"), py::arg("mean"), py::arg("logvar"), py::arg("seed"),
      py::arg("index"), py::arg("by_mean"), py::arg("by_logvar"), py::arg("blocks"));
}

}  // namespace genfast::bindings
