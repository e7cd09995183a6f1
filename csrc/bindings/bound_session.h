// What sessions of every processor offer to Python.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/array.h"

namespace genfast::bindings {

// A session, the arrays that it borrows, and where they must lie (DLPack's number of the device).
template <typename Session>
struct BoundSession {
  template <typename Executor>
  BoundSession(std::shared_ptr<Executor> executor, int64_t batch, int device = 1)
      : session(std::move(executor), batch), device(device) {}

  Session session;
  int device;
  std::vector<Array> arrays;
};

template <typename Session>
void bind(
    BoundSession<Session>& self,
    const pybind11::object& uniforms,
    const pybind11::object& values,
    const pybind11::object& forced,
    const pybind11::object& scores,
    const pybind11::object& log_probs,
    const std::map<int, pybind11::object>& inputs) {
  const auto optional = [&](const pybind11::object& object, const char* argument) {
    return object.is_none() ? std::nullopt
                            : std::optional<Array>(array(object, argument, self.device));
  };
  const std::optional<Array> arrays[] = {
      array(uniforms, "uniforms", self.device), array(values, "values", self.device),
      optional(forced, "forced"), optional(scores, "scores"), optional(log_probs, "log_probs")};
  const auto tensor = [](const std::optional<Array>& given) {
    return given ? &given->tensor : nullptr;
  };
  self.session.bind(
      *tensor(arrays[0]), *tensor(arrays[1]), tensor(arrays[2]), tensor(arrays[3]),
      tensor(arrays[4]));
  std::map<int, core::Tensor> ahead;
  std::vector<Array> kept;
  for (const auto& [buffer, values_ahead] : inputs) {
    kept.push_back(array(values_ahead, "inputs", self.device));
    ahead[buffer] = kept.back().tensor;
  }
  self.session.bind_inputs(ahead);
  self.arrays = std::move(kept);
  for (const std::optional<Array>& given : arrays)
    if (given) self.arrays.push_back(*given);
}

// Runs f(interrupted) without the interpreter's lock; a signal that came is raised behind it.
template <typename F>
int64_t uninterrupted(F f) {
  int64_t done = 0;
  bool interrupted = false;
  {
    const pybind11::gil_scoped_release release;
    done = f([&interrupted] {
      const pybind11::gil_scoped_acquire acquire;
      interrupted = PyErr_CheckSignals() != 0;
      return interrupted;
    });
  }
  if (interrupted) throw pybind11::error_already_set();
  return done;
}

// All but how a session is made, and how it advances.
template <typename Session>
void define_session(pybind11::class_<BoundSession<Session>>& type) {
  namespace py = pybind11;
  using Bound = BoundSession<Session>;
  type.def(
          "options",
          [](Bound& self, const py::object& temperature, const py::object& top_k,
             const py::object& top_p) {
            const Array arrays[] = {
                array(temperature, "temperature"), array(top_k, "top_k"), array(top_p, "top_p")};
            self.session.options(arrays[0].tensor, arrays[1].tensor, arrays[2].tensor);
          },
          py::arg("temperature"), py::arg("top_k"), py::arg("top_p"))
      .def(
          "input",
          [](Bound& self, int buffer, const py::object& values) {
            self.session.input(buffer, array(values, "values").tensor);
          },
          py::arg("buffer"), py::arg("values"))
      .def(
          "bind", bind<Session>, py::arg("uniforms"), py::arg("values"),
          py::arg("forced") = py::none(), py::arg("scores") = py::none(),
          py::arg("log_probs") = py::none(), py::arg("inputs") = std::map<int, py::object>())
      .def(
          "reset",
          [](Bound& self, const py::object& rows) {
            self.session.reset(array(rows, "rows").tensor);
          },
          py::arg("rows"))
      .def(
          "select",
          [](Bound& self, const py::object& rows) {
            self.session.select(array(rows, "rows").tensor);
            self.arrays.clear();
          },
          py::arg("rows"))
      .def("state", [](const Bound& self) { return py::bytes(self.session.state()); })
      .def(
          "restore", [](Bound& self, const py::bytes& state) { self.session.restore(state); },
          py::arg("state"))
      .def_property_readonly("batch", [](const Bound& self) { return self.session.batch(); })
      .def_property_readonly("position", [](const Bound& self) { return self.session.position(); });
}

}  // namespace genfast::bindings
