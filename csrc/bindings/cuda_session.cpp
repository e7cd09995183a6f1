#include <pybind11/stl.h>

#include <map>
#include <optional>

#include "bindings/array.h"
#include "bindings/register.h"
#include "cuda/gpu_executor.h"
#include "cuda/plan/listing.h"
#include "cuda/session.h"
#include "cuda/simulation/simulated_executor.h"
#include "cuda/simulation/simulation.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

constexpr int kHost = 1;
constexpr int kDevice = 2;

cuda::Precision precision_of(const std::string& name) {
  core::require(
      name == "float32" || name == "bfloat16", "precision must be float32 or bfloat16, got ", name);
  return name == "float32" ? cuda::Precision::kFloat32 : cuda::Precision::kBFloat16;
}

// A session, the arrays that it borrows, and where they must lie.
struct BoundSession {
  BoundSession(std::shared_ptr<cuda::Executor> executor, int64_t batch, int device)
      : session(std::move(executor), batch), device(device) {}

  cuda::Session session;
  int device;
  std::vector<Array> arrays;
};

std::unique_ptr<BoundSession> on_gpu(
    const std::shared_ptr<cuda::Executor>& executor,
    int64_t batch) {
  const bool simulated = dynamic_cast<const cuda::SimulatedExecutor*>(executor.get()) != nullptr;
  const py::gil_scoped_release release;
  return std::make_unique<BoundSession>(executor, batch, simulated ? kHost : kDevice);
}

void bind(
    BoundSession& self,
    const py::object& uniforms,
    const py::object& values,
    const py::object& forced,
    const py::object& scores,
    const py::object& log_probs,
    const std::map<int, py::object>& inputs) {
  const auto given = [&](const py::object& object, const char* argument) {
    return object.is_none() ? std::nullopt
                            : std::optional<Array>(array(object, argument, self.device));
  };
  const std::optional<Array> arrays[] = {
      given(uniforms, "uniforms"), given(values, "values"), given(forced, "forced"),
      given(scores, "scores"), given(log_probs, "log_probs")};
  core::require(arrays[0] && arrays[1], "bind: uniforms and values must be arrays, got None");
  const auto tensor = [&](int i) { return arrays[i] ? &arrays[i]->tensor : nullptr; };
  self.session.bind(*tensor(0), *tensor(1), tensor(2), tensor(3), tensor(4));
  std::map<int, core::Tensor> ahead;
  std::vector<Array> kept;
  for (const auto& [buffer, values_ahead] : inputs) {
    kept.push_back(array(values_ahead, "inputs", self.device));
    ahead[buffer] = kept.back().tensor;
  }
  self.session.bind_inputs(ahead);
  for (const std::optional<Array>& array : arrays)
    if (array) kept.push_back(*array);
  self.arrays = std::move(kept);
}

int64_t advance(BoundSession& self, int64_t first, int64_t count, uintptr_t stream) {
  int64_t done = 0;
  bool interrupted = false;
  {
    const py::gil_scoped_release release;
    done = self.session.advance(first, count, stream, [&interrupted] {
      const py::gil_scoped_acquire acquire;
      interrupted = PyErr_CheckSignals() != 0;
      return interrupted;
    });
  }
  if (interrupted) throw py::error_already_set();
  return done;
}

// What a reader, a test or `explain` asks of a plan.
py::dict facts(const cuda::Plan& plan) {
  const cuda::PlanHeader& header = plan.header;
  py::dict facts;
  facts["blocks"] = header.blocks;
  facts["grid"] = header.grid != 0;
  facts["machines"] = plan.machines;
  facts["rows"] = header.rows;
  facts["lanes"] = header.lanes;
  facts["skew"] = header.skew;
  facts["barriers"] = plan.barriers();
  facts["streams"] = plan.streams;
  facts["image_bytes"] = header.image_bytes;
  facts["resident_bytes"] = header.resident_bytes;
  facts["chip_bytes"] = 4 * header.chip_words + header.resident_bytes;
  std::vector<int> steps;
  for (size_t i = 0; i < plan.steps.size(); ++i)
    if (plan.steps[i].barrier != 0) steps.push_back(static_cast<int>(i));
  facts["barrier_steps"] = steps;
  facts["listing"] = cuda::listing(plan);
  return facts;
}

}  // namespace

void register_cuda_session(py::module_& module) {
  py::register_exception<cuda::RaceError>(module, "RaceError", PyExc_RuntimeError);

  py::class_<cuda::Executor, std::shared_ptr<cuda::Executor>>(module, "CudaExecutor")
      .def(
          py::init([](const std::shared_ptr<program::Program>& program,
                      const std::string& precision, int device) {
            const py::gil_scoped_release release;
            return cuda::gpu_executor(program, precision_of(precision), device);
          }),
          py::arg("program"), py::arg("precision") = "float32", py::arg("device") = 0)
      .def(
          "plan",
          [](const cuda::Executor& self, int64_t batch) {
            return facts(self.machine(batch)->plan());
          },
          py::arg("batch"));

  py::class_<cuda::SimulatedExecutor, cuda::Executor, std::shared_ptr<cuda::SimulatedExecutor>>(
      module, "SimulatedExecutor")
      .def(
          py::init([](const std::shared_ptr<program::Program>& program,
                      const std::string& precision, int cluster, int blocks, int64_t shared_bytes,
                      uint64_t seed) {
            return std::make_shared<cuda::SimulatedExecutor>(
                program, precision_of(precision), cuda::Limits{cluster, blocks, shared_bytes},
                seed);
          }),
          py::arg("program"), py::arg("precision") = "float32", py::arg("cluster") = 16,
          py::arg("blocks") = 132, py::arg("shared_bytes") = 232448, py::arg("seed") = 0)
      .def(
          "plan",
          [](const cuda::SimulatedExecutor& self, int64_t batch) {
            return facts(self.plan(batch));
          },
          py::arg("batch"))
      .def("_sabotage", &cuda::SimulatedExecutor::sabotage, py::arg("step"));

  py::class_<BoundSession>(module, "CudaSession")
      .def(py::init(&on_gpu), py::arg("executor"), py::arg("batch"))
      .def(
          "options",
          [](BoundSession& self, const py::object& temperature, const py::object& top_k,
             const py::object& top_p) {
            const Array arrays[] = {
                array(temperature, "temperature"), array(top_k, "top_k"), array(top_p, "top_p")};
            self.session.options(arrays[0].tensor, arrays[1].tensor, arrays[2].tensor);
          },
          py::arg("temperature"), py::arg("top_k"), py::arg("top_p"))
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
      .def("advance", advance, py::arg("first"), py::arg("count"), py::arg("stream") = 0)
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
      .def("plan", [](const BoundSession& self) { return facts(self.session.plan()); })
      .def_property_readonly("batch", [](const BoundSession& self) { return self.session.batch(); })
      .def_property_readonly(
          "position", [](const BoundSession& self) { return self.session.position(); });
}

}  // namespace genfast::bindings
