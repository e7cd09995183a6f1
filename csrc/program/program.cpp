#include "program/program.h"

#include <cmath>
#include <utility>

namespace genfast::program {

using core::require;

int gates_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::kGate: return 2;
    case Epilogue::kGru: return 3;
    case Epilogue::kLstm: return 4;
    default: return 1;
  }
}

std::vector<Ref> Instruction::refs() const {
  std::vector<Ref> all;
  for (const Term& term : terms) all.push_back(term.ref);
  all.insert(all.end(), states.begin(), states.end());
  if (op == Op::kDraw) all.push_back(scores);
  return all;
}

Program::Program(Order order, int64_t rows, int64_t columns)
    : order_(order), rows_(rows), columns_(columns) {
  if (order == Order::kSequence)
    require(
        rows == 1 && columns == 0, "Program: a sequence has 1 row and endless (0) columns, got ",
        rows, ", ", columns);
  else
    require(
        rows > 0 && columns > 0, "Program: a raster needs rows and columns, got ", rows, ", ",
        columns);
}

int Program::add_buffer(Buffer buffer) {
  require(!finished_, "Program: finished; it cannot change");
  require(buffer.width > 0, "buffer ", buffer.name, ": width must be positive, got ", buffer.width);
  const bool symbol = buffer.kind == Kind::kSym;
  require(
      symbol ? buffer.vocabulary > 0 && buffer.width == 1 : buffer.vocabulary == 0, "buffer ",
      buffer.name, ": a symbol has width 1 and a vocabulary, f32 has none; got width ",
      buffer.width, ", vocabulary ", buffer.vocabulary);
  for (const Buffer& other : buffers_)
    require(other.name != buffer.name, "two buffers are named ", buffer.name);
  buffers_.push_back(std::move(buffer));
  return static_cast<int>(buffers_.size()) - 1;
}

std::string Program::context() const {
  return core::text("instruction ", instructions_.size(), ": ");
}

std::string Program::name(const Ref& ref) const {
  const std::string& buffer = buffers_.at(static_cast<size_t>(ref.buffer)).name;
  if (ref.dy == 0 && ref.dx == 0) return buffer;
  return core::text(
      buffer, "[", ref.dy >= 0 ? "+" : "", ref.dy, ",", ref.dx >= 0 ? "+" : "", ref.dx, "]");
}

void Program::check_ref(const Ref& ref) const {
  require(
      ref.buffer >= 0 && ref.buffer < static_cast<int>(buffers_.size()), context(), "reads buffer ",
      ref.buffer, " of ", buffers_.size());
  require(
      order_ == Order::kRaster || ref.dy == 0, context(),
      "a sequence has no rows to look at: ", name(ref));
}

void Program::check_width(const char* what, int64_t expected, int64_t got) const {
  require(expected == got, context(), what, " must be ", expected, " wide, got ", got);
}

std::vector<float> Program::take(
    const core::Tensor& tensor,
    const char* what,
    const std::vector<int64_t>& shape) const {
  const std::string argument = context() + what;
  const float* data = core::elements<const float>(tensor, argument.c_str(), shape);
  std::vector<float> values(data, data + tensor.size());
  for (const float value : values)
    require(std::isfinite(value), argument, " must be finite, got ", value);
  return values;
}

void Program::append(Instruction instruction) {
  require(!finished_, "Program: finished; it cannot change");
  for (const int target : instruction.targets) {
    require(
        target >= 0 && target < static_cast<int>(buffers_.size()), context(), "writes buffer ",
        target, " of ", buffers_.size());
    Buffer& buffer = buffers_[static_cast<size_t>(target)];
    require(
        buffer.writer < 0, context(), "writes ", buffer.name, ", which instruction ", buffer.writer,
        " writes");
    buffer.writer = static_cast<int>(instructions_.size());
  }
  instructions_.push_back(std::move(instruction));
}

void Program::add_input(int target, Phase phase) {
  require(phase != Phase::kSite, context(), "an input is known from the start or ahead of the row");
  append({.op = Op::kInput, .phase = phase, .targets = {target}});
}

void Program::check_states(const Instruction& instruction) const {
  const std::vector<Ref>& states = instruction.states;
  const int64_t units = buffers_[static_cast<size_t>(instruction.targets[0])].width;
  const auto width = [&](size_t i) {
    return buffers_[static_cast<size_t>(states[i].buffer)].width;
  };
  const size_t expected_states = instruction.epilogue == Epilogue::kLstm  ? 1
                                 : instruction.epilogue == Epilogue::kGru ? 2
                                                                          : 0;
  const size_t expected_targets = instruction.epilogue == Epilogue::kLstm ? 2 : 1;
  require(
      instruction.targets.size() == expected_targets, context(), "writes ", expected_targets,
      " buffers, got ", instruction.targets.size());
  require(
      states.size() == expected_states, context(), "takes ", expected_states, " states, got ",
      states.size());
  for (const Ref& state : states) {
    check_ref(state);
    require(
        buffers_[static_cast<size_t>(state.buffer)].kind == Kind::kF32, context(),
        "a state must be f32, got ", name(state));
  }
  if (instruction.epilogue == Epilogue::kLstm) check_width("the state c", units, width(0));
  if (instruction.epilogue == Epilogue::kGru) {
    check_width("the recurrent part", 3 * units, width(0));
    check_width("the state h", units, width(1));
  }
}

void Program::add_sum(
    Phase phase,
    const std::vector<int>& targets,
    Epilogue epilogue,
    const core::Tensor* bias,
    std::vector<TermKind> kinds,
    const std::vector<const core::Tensor*>& weights,
    const std::vector<Ref>& refs,
    const std::vector<Ref>& states) {
  require(!targets.empty(), context(), "a sum writes a buffer");
  Instruction sum{
      .op = Op::kSum, .phase = phase, .targets = targets, .epilogue = epilogue, .states = states};
  for (const int target : targets) {
    check_ref({target, 0, 0});
    const Buffer& buffer = buffers_[static_cast<size_t>(target)];
    require(buffer.kind == Kind::kF32, context(), "a sum cannot write the symbol ", buffer.name);
    check_width(buffer.name.c_str(), buffers_[static_cast<size_t>(targets[0])].width, buffer.width);
  }
  check_states(sum);
  const int64_t out = gates_of(epilogue) * buffers_[static_cast<size_t>(targets[0])].width;
  if (bias != nullptr) sum.bias = take(*bias, "bias", {out});
  for (size_t i = 0; i < kinds.size(); ++i) {
    check_ref(refs[i]);
    const Buffer& buffer = buffers_[static_cast<size_t>(refs[i].buffer)];
    require(
        (kinds[i] == TermKind::kLook) == (buffer.kind == Kind::kSym), context(),
        "a table is looked up by a symbol, everything else reads f32; got ", name(refs[i]));
    require(
        (kinds[i] == TermKind::kAdd) == (weights[i] == nullptr), context(),
        "mat and look have weights, add has none");
    Term term{kinds[i], refs[i], {}};
    if (kinds[i] == TermKind::kMat) term.weights = take(*weights[i], "weight", {out, buffer.width});
    if (kinds[i] == TermKind::kLook)
      term.weights = take(*weights[i], "table", {buffer.vocabulary + 1, out});
    if (kinds[i] == TermKind::kAdd) check_width(buffer.name.c_str(), out, buffer.width);
    sum.terms.push_back(std::move(term));
  }
  append(std::move(sum));
}

void Program::check_mixture(const std::vector<int>& targets, const Buffer& scores) const {
  const auto channels = static_cast<int64_t>(targets.size());
  require(
      channels <= kMostChannels, context(), "a mixture draws at most ", kMostChannels,
      " symbols, got ", channels);
  const int64_t levels = buffers_[static_cast<size_t>(targets[0])].vocabulary;
  for (const int target : targets)
    require(
        buffers_[static_cast<size_t>(target)].vocabulary == levels && levels >= 2, context(),
        "the symbols of a mixture must have one vocabulary, at least 2, got ",
        buffers_[static_cast<size_t>(target)].vocabulary, " beside ", levels);
  const int64_t each = mixture_parameters(channels);
  require(
      scores.width % each == 0, context(), "scores of a mixture must be K * ", each,
      " wide: K logits, K * ", channels, " means, as many log-scales, K * ",
      each - 1 - 2 * channels, " couplings; got ", scores.width);
}

void Program::add_draw(Phase phase, const std::vector<int>& targets, Head head, Ref scores) {
  require(!targets.empty(), context(), "a draw writes a symbol");
  for (const int target : targets) {
    check_ref({target, 0, 0});
    const Buffer& symbol = buffers_[static_cast<size_t>(target)];
    require(symbol.kind == Kind::kSym, context(), "a draw writes symbols, got ", symbol.name);
  }
  check_ref(scores);
  require(phase == Phase::kSite, context(), "a draw happens at its site");
  const Buffer& from = buffers_[static_cast<size_t>(scores.buffer)];
  require(from.kind == Kind::kF32, context(), "scores must be f32, got ", name(scores));
  const auto count = static_cast<int64_t>(targets.size());
  Instruction draw{
      .op = Op::kDraw, .phase = phase, .targets = targets, .scores = scores, .head = head};
  if (head == Head::kCategorical) {
    require(count == 1, context(), "a categorical draw writes 1 symbol, got ", count);
    draw.choices = buffers_[static_cast<size_t>(targets[0])].vocabulary;
    check_width("scores", draw.choices, from.width);
  } else {
    check_mixture(targets, from);
    draw.choices = from.width / mixture_parameters(count);
  }
  draw.number = draws_;
  draw.first_uniform = uniforms_;
  draw.first_value = values_;
  append(std::move(draw));
  draws_ += 1;
  uniforms_ += head == Head::kCategorical ? 1 : 1 + count;
  values_ += count;
}

// Whether instruction `index` may read ref: what it reads must be written by then, in whatever
// phase it runs.
void Program::check_known(int index, const Ref& ref) const {
  const Buffer& buffer = buffers_[static_cast<size_t>(ref.buffer)];
  require(
      buffer.writer >= 0, "instruction ", index, ": reads ", buffer.name, ", which nothing writes");
  const Instruction& writer = instructions_[static_cast<size_t>(buffer.writer)];
  const Phase phase = instructions_[static_cast<size_t>(index)].phase;
  if (writer.phase == Phase::kStart) {
    require(
        ref.dy == 0 && ref.dx == 0, "instruction ", index, ": ", name(ref),
        " is known from the start; it has no neighbours");
    require(
        phase != Phase::kStart || buffer.writer < index, "instruction ", index, ": reads ",
        name(ref), " before it is written");
    return;
  }
  require(
      phase != Phase::kStart, "instruction ", index, ": reads ", name(ref),
      ", which is not known at the start");
  if (ref.dy < 0) return;
  const bool earlier = buffer.writer < index;
  bool known = ref.dy == 0;
  if (writer.phase == Phase::kRow)
    known = known && (phase == Phase::kSite || earlier) &&
            (ref.dx == 0 || phase == Phase::kSite || earlier);
  else
    known = known && phase == Phase::kSite && (ref.dx < 0 || (ref.dx == 0 && earlier));
  require(known, "instruction ", index, " reads the future: ", name(ref));
}

void Program::finish() {
  require(!instructions_.empty(), "Program: has no instruction");
  bool draws = false;
  for (size_t i = 0; i < instructions_.size(); ++i) {
    draws = draws || instructions_[i].op == Op::kDraw;
    for (const Ref& ref : instructions_[i].refs()) check_known(static_cast<int>(i), ref);
  }
  require(draws, "Program: draws nothing");
  for (const Buffer& buffer : buffers_)
    require(buffer.writer >= 0, "buffer ", buffer.name, ": nothing writes it");
  finished_ = true;
}

int64_t Program::weight_bytes() const {
  int64_t floats = 0;
  for (const Instruction& instruction : instructions_) {
    floats += static_cast<int64_t>(instruction.bias.size());
    for (const Term& term : instruction.terms) floats += static_cast<int64_t>(term.weights.size());
  }
  return floats * static_cast<int64_t>(sizeof(float));
}

int64_t Program::multiply_adds() const {
  int64_t total = 0;
  for (const Instruction& instruction : instructions_)
    if (instruction.phase != Phase::kStart)
      for (const Term& term : instruction.terms)
        if (term.kind == TermKind::kMat) total += static_cast<int64_t>(term.weights.size());
  return total;
}

}  // namespace genfast::program
