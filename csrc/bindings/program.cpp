#include "program/program.h"

#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "bindings/array.h"
#include "bindings/register.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

using program::Program;
using RefTuple = std::tuple<int, int, int>;
using TermTuple = std::tuple<std::string, py::object, RefTuple>;

// The member of a closed set that a word names.
template <typename T>
T named(const std::map<std::string, T>& words, const std::string& word, const char* argument) {
  const auto found = words.find(word);
  if (found != words.end()) return found->second;
  std::string all;
  for (const auto& entry : words) all += (all.empty() ? "" : ", ") + entry.first;
  throw std::invalid_argument(core::text(argument, " must be one of ", all, ", got ", word));
}

const std::map<std::string, program::Order> kOrders = {
    {"sequence", program::Order::kSequence},
    {"raster", program::Order::kRaster}};
const std::map<std::string, program::Kind> kKinds = {
    {"f32", program::Kind::kF32},
    {"sym", program::Kind::kSym}};
const std::map<std::string, program::Phase> kPhases = {
    {"start", program::Phase::kStart},
    {"row", program::Phase::kRow},
    {"site", program::Phase::kSite}};
const std::map<std::string, program::TermKind> kTerms = {
    {"mat", program::TermKind::kMat},
    {"look", program::TermKind::kLook},
    {"add", program::TermKind::kAdd}};
const std::map<std::string, program::Epilogue> kEpilogues = {
    {"none", program::Epilogue::kNone}, {"relu", program::Epilogue::kRelu},
    {"tanh", program::Epilogue::kTanh}, {"sigmoid", program::Epilogue::kSigmoid},
    {"gate", program::Epilogue::kGate}, {"lstm", program::Epilogue::kLstm},
    {"gru", program::Epilogue::kGru}};
const std::map<std::string, program::Head> kHeads = {
    {"categorical", program::Head::kCategorical},
    {"logistic_mixture", program::Head::kLogisticMixture}};

program::Ref ref(const RefTuple& tuple) {
  return {std::get<0>(tuple), std::get<1>(tuple), std::get<2>(tuple)};
}

std::unique_ptr<Program> make(const std::string& order, int64_t rows, int64_t columns) {
  return std::make_unique<Program>(named(kOrders, order, "order"), rows, columns);
}

int buffer(
    Program& program,
    std::string name,
    int64_t width,
    const std::string& kind,
    int64_t vocabulary) {
  return program.add_buffer({std::move(name), width, named(kKinds, kind, "kind"), vocabulary});
}

void sum(
    Program& program,
    const std::string& phase,
    const std::vector<int>& targets,
    const std::string& epilogue,
    const py::object& bias,
    const std::vector<TermTuple>& terms,
    const std::vector<RefTuple>& states) {
  std::optional<Array> bias_array;
  if (!bias.is_none()) bias_array = array(bias, "bias");
  std::vector<program::TermKind> kinds;
  std::vector<program::Ref> refs;
  std::vector<std::optional<Array>> arrays;
  for (const auto& [kind, weights, term_ref] : terms) {
    kinds.push_back(named(kTerms, kind, "term"));
    refs.push_back(ref(term_ref));
    arrays.push_back(
        weights.is_none() ? std::nullopt : std::optional<Array>(array(weights, "weights")));
  }
  std::vector<const core::Tensor*> weights;
  for (const std::optional<Array>& term : arrays) weights.push_back(term ? &term->tensor : nullptr);
  std::vector<program::Ref> state_refs;
  for (const RefTuple& state : states) state_refs.push_back(ref(state));
  program.add_sum(
      named(kPhases, phase, "phase"), targets, named(kEpilogues, epilogue, "epilogue"),
      bias_array ? &bias_array->tensor : nullptr, kinds, weights, refs, state_refs);
}

void draw(
    Program& program,
    const std::string& phase,
    const std::vector<int>& targets,
    const std::string& head,
    const RefTuple& scores) {
  program.add_draw(
      named(kPhases, phase, "phase"), targets, named(kHeads, head, "head"), ref(scores));
}

}  // namespace

void register_program(py::module_& module) {
  py::class_<Program, std::shared_ptr<Program>>(module, "Program")
      .def(py::init(&make), py::arg("order"), py::arg("rows"), py::arg("columns"))
      .def(
          "buffer", buffer, py::arg("name"), py::arg("width"), py::arg("kind"),
          py::arg("vocabulary"))
      .def(
          "input",
          [](Program& program, int target, const std::string& phase) {
            program.add_input(target, named(kPhases, phase, "phase"));
          },
          py::arg("target"), py::arg("phase"))
      .def(
          "sum", sum, py::arg("phase"), py::arg("targets"), py::arg("epilogue"),
          py::arg("bias").none(true), py::arg("terms"), py::arg("states"))
      .def("draw", draw, py::arg("phase"), py::arg("targets"), py::arg("head"), py::arg("ref"))
      .def("finish", &Program::finish)
      .def_property_readonly("weight_bytes", &Program::weight_bytes)
      .def_property_readonly("multiply_adds", &Program::multiply_adds);
}

}  // namespace genfast::bindings
