#include "cpu/session.h"

#include "bindings/bound_session.h"
#include "bindings/register.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

using Bound = BoundSession<cpu::Session>;

std::shared_ptr<cpu::Executor> make_executor(
    const std::shared_ptr<program::Program>& program,
    const std::string& isa) {
  const py::gil_scoped_release release;
  return std::make_shared<cpu::Executor>(program, isa);
}

int64_t advance(Bound& self, int64_t first, int64_t count, int threads) {
  return uninterrupted([&](const std::function<bool()>& interrupted) {
    return self.session.advance(first, count, threads, interrupted);
  });
}

}  // namespace

void register_session(py::module_& module) {
  py::class_<cpu::Executor, std::shared_ptr<cpu::Executor>>(module, "Executor")
      .def(py::init(&make_executor), py::arg("program"), py::arg("isa") = "")
      .def_property_readonly(
          "isa", [](const cpu::Executor& self) { return std::string(self.kernels().name); })
      .def_property_readonly("packed_bytes", &cpu::Executor::packed_bytes);

  py::class_<Bound> session(module, "Session");
  define_session(session);
  session
      .def(
          py::init<std::shared_ptr<cpu::Executor>, int64_t>(), py::arg("executor"),
          py::arg("batch"))
      .def("advance", advance, py::arg("first"), py::arg("count"), py::arg("threads"))
      .def("_poison", [](Bound& self) { self.session.poison(); })
      .def(
          "_sabotage",
          [](Bound& self, int64_t columns, int thread, int microseconds) {
            self.session.sabotage({columns, thread, microseconds});
          },
          py::arg("columns"), py::arg("thread"), py::arg("microseconds"))
      .def_property_readonly(
          "scratch_bytes", [](const Bound& self) { return self.session.scratch_bytes(); });
}

}  // namespace genfast::bindings
