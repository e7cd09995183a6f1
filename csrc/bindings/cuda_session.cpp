#include "bindings/bound_session.h"
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

using Bound = BoundSession<cuda::Session>;

// Arrays lie on the GPU, those of a simulated one on the host.
std::unique_ptr<Bound> make_session(
    const std::shared_ptr<cuda::Executor>& executor,
    int64_t batch) {
  const bool simulated = dynamic_cast<const cuda::SimulatedExecutor*>(executor.get()) != nullptr;
  const py::gil_scoped_release release;
  return std::make_unique<Bound>(executor, batch, simulated ? kHost : kDevice);
}

int64_t advance(Bound& self, int64_t first, int64_t count, uintptr_t stream) {
  return uninterrupted([&](const std::function<bool()>& interrupted) {
    return self.session.advance(first, count, stream, interrupted);
  });
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

  py::class_<Bound> session(module, "CudaSession");
  define_session(session);
  session.def(py::init(&make_session), py::arg("executor"), py::arg("batch"))
      .def("advance", advance, py::arg("first"), py::arg("count"), py::arg("stream") = 0)
      .def("plan", [](const Bound& self) { return facts(self.session.plan()); });
}

}  // namespace genfast::bindings
