#include "cpu/session.h"

#include <pybind11/stl.h>

#include <map>
#include <optional>

#include "bindings/array.h"
#include "bindings/register.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

// A session, and the bound arrays that it borrows.
struct BoundSession {
  BoundSession(std::shared_ptr<cpu::Executor> executor, int64_t batch)
      : session(std::move(executor), batch) {}

  cpu::Session session;
  std::vector<Array> arrays;
};

std::shared_ptr<cpu::Executor> make_executor(
    const std::shared_ptr<program::Program>& program,
    const std::string& isa) {
  const py::gil_scoped_release release;
  return std::make_shared<cpu::Executor>(program, isa);
}

void options(
    BoundSession& self,
    const py::object& temperature,
    const py::object& top_k,
    const py::object& top_p) {
  const Array arrays[] = {
      array(temperature, "temperature"), array(top_k, "top_k"), array(top_p, "top_p")};
  self.session.options(arrays[0].tensor, arrays[1].tensor, arrays[2].tensor);
}

void bind(
    BoundSession& self,
    const py::object& uniforms,
    const py::object& values,
    const py::object& forced,
    const py::object& scores,
    const py::object& log_probs,
    const std::map<int, py::object>& inputs) {
  const auto optional = [](const py::object& object, const char* argument) {
    return object.is_none() ? std::nullopt : std::optional<Array>(array(object, argument));
  };
  const std::optional<Array> arrays[] = {
      array(uniforms, "uniforms"), array(values, "values"), optional(forced, "forced"),
      optional(scores, "scores"), optional(log_probs, "log_probs")};
  const auto tensor = [](const std::optional<Array>& given) {
    return given ? &given->tensor : nullptr;
  };
  self.session.bind(
      *tensor(arrays[0]), *tensor(arrays[1]), tensor(arrays[2]), tensor(arrays[3]),
      tensor(arrays[4]));
  std::map<int, core::Tensor> ahead;
  std::vector<Array> kept;
  for (const auto& [buffer, values] : inputs) {
    kept.push_back(array(values, "inputs"));
    ahead[buffer] = kept.back().tensor;
  }
  self.session.bind_inputs(ahead);
  self.arrays = std::move(kept);
  for (const std::optional<Array>& given : arrays)
    if (given) self.arrays.push_back(*given);
}

int64_t advance(BoundSession& self, int64_t first, int64_t count, int threads) {
  int64_t done = 0;
  bool interrupted = false;
  {
    const py::gil_scoped_release release;
    done = self.session.advance(first, count, threads, [&interrupted] {
      const py::gil_scoped_acquire acquire;
      interrupted = PyErr_CheckSignals() != 0;
      return interrupted;
    });
  }
  if (interrupted) throw py::error_already_set();
  return done;
}

}  // namespace

void register_session(py::module_& module) {
  py::class_<cpu::Executor, std::shared_ptr<cpu::Executor>>(module, "Executor")
      .def(py::init(&make_executor), py::arg("program"), py::arg("isa") = "")
      .def_property_readonly(
          "isa", [](const cpu::Executor& self) { return std::string(self.kernels().name); })
      .def_property_readonly("packed_bytes", &cpu::Executor::packed_bytes);

  py::class_<BoundSession>(module, "Session")
      .def(
          py::init<std::shared_ptr<cpu::Executor>, int64_t>(), py::arg("executor"),
          py::arg("batch"))
      .def("options", options, py::arg("temperature"), py::arg("top_k"), py::arg("top_p"))
      .def(
          "input",
          [](BoundSession& self, int buffer, const py::object& values) {
            self.session.input(buffer, array(values, "values").tensor);
          },
          py::arg("buffer"), py::arg("values"))
      .def(
          "bind", bind, py::arg("uniforms"), py::arg("values"), py::arg("forced") = py::none(),
          py::arg("scores") = py::none(), py::arg("log_probs") = py::none(),
          py::arg("inputs") = std::map<int, py::object>())
      .def("advance", advance, py::arg("first"), py::arg("count"), py::arg("threads"))
      .def(
          "reset",
          [](BoundSession& self, const py::object& rows) {
            self.session.reset(array(rows, "rows").tensor);
          },
          py::arg("rows"))
      .def(
          "select",
          [](BoundSession& self, const py::object& rows) {
            self.session.select(array(rows, "rows").tensor);
            self.arrays.clear();
          },
          py::arg("rows"))
      .def("state", [](const BoundSession& self) { return py::bytes(self.session.state()); })
      .def(
          "restore",
          [](BoundSession& self, const py::bytes& state) { self.session.restore(state); },
          py::arg("state"))
      .def("_poison", [](BoundSession& self) { self.session.poison(); })
      .def(
          "_sabotage",
          [](BoundSession& self, int64_t columns, int thread, int microseconds) {
            self.session.sabotage({columns, thread, microseconds});
          },
          py::arg("columns"), py::arg("thread"), py::arg("microseconds"))
      .def_property_readonly("batch", [](const BoundSession& self) { return self.session.batch(); })
      .def_property_readonly(
          "position", [](const BoundSession& self) { return self.session.position(); })
      .def_property_readonly(
          "scratch_bytes", [](const BoundSession& self) { return self.session.scratch_bytes(); });
}

}  // namespace genfast::bindings
