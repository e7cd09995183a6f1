#include "bindings/register.h"
#include "core/errors.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const genfast::core::FloatingPointError& e) {
      py::set_error(PyExc_FloatingPointError, e.what());
    }
  });
  genfast::bindings::register_build(module);
  genfast::bindings::register_random(module);
  genfast::bindings::register_program(module);
  genfast::bindings::register_session(module);
  genfast::bindings::register_cuda_session(module);
  genfast::bindings::register_masked_conv2d(module);
  genfast::bindings::register_reparameterize(module);
  genfast::bindings::register_cuda_reparameterize(module);
  genfast::bindings::register_measure(module);
}
