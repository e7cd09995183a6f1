#include "cuda/plan/dealing.h"

namespace genfast::cuda {
namespace {

using program::Instruction;
using program::Kind;
using program::Op;
using program::Program;
using program::Ref;
using program::Term;
using program::TermKind;

// Multiply-adds of a sum that every block computes rather than to wait for the others.
constexpr int64_t kRepeatedWork = 1024;

int32_t units_of(const Program& program, const Instruction& sum) {
  return static_cast<int32_t>(program.buffers()[static_cast<size_t>(sum.targets[0])].width);
}

size_t writer_of(const Program& program, int buffer) {
  return static_cast<size_t>(program.buffers()[static_cast<size_t>(buffer)].writer);
}

// What a sum reads element by element.
std::vector<Ref> pointwise(const Instruction& sum) {
  std::vector<Ref> refs = sum.states;
  for (const Term& term : sum.terms)
    if (term.kind == TermKind::kAdd) refs.push_back(term.ref);
  return refs;
}

bool worth_repeating(const Program& program, const Instruction& sum) {
  if (!pointwise(sum).empty()) return false;
  const int64_t width = program::gates_of(sum.epilogue) * int64_t{units_of(program, sum)};
  int64_t work = 0;
  for (const Term& term : sum.terms)
    work += width * (term.kind == TermKind::kMat
                         ? program.buffers()[static_cast<size_t>(term.ref.buffer)].width
                         : 1);
  return work <= kRepeatedWork;
}

// From the last step to the first, each sum passes its period on to what it adds.
void settle_periods(const Program& program, const Schedule& schedule, std::vector<Deal>* sums) {
  for (auto at = schedule.order.rbegin(); at != schedule.order.rend(); ++at) {
    const Instruction& sum = program.instructions()[static_cast<size_t>(*at)];
    if (sum.op != Op::kSum) continue;
    Deal& deal = (*sums)[static_cast<size_t>(*at)];
    const int32_t units = units_of(program, sum);
    if (deal.repeated || deal.period == 0 || units % deal.period != 0) deal.period = units;
    if (deal.repeated) continue;
    for (const Ref& ref : pointwise(sum)) {
      Deal& its = (*sums)[writer_of(program, ref.buffer)];
      if (its.period == 0) its.period = deal.period;
    }
  }
}

// Whether the block that defines a unit of the reader has defined all that the unit adds.
bool owns(const Deal& reader, const Deal& writer) {
  return !reader.repeated && !writer.repeated && reader.period == writer.period;
}

Place place_of(
    const Program& program,
    const Schedule& schedule,
    const std::vector<Deal>& sums,
    int buffer) {
  const size_t writer = writer_of(program, buffer);
  const Op op = program.instructions()[writer].op;
  if (op == Op::kInput) return Place::kGiven;
  if (op == Op::kDraw || sums[writer].repeated) return Place::kRepeated;
  for (const int at : schedule.order) {
    const Instruction& reader = program.instructions()[static_cast<size_t>(at)];
    if (reader.op == Op::kDraw && reader.scores.buffer == buffer) return Place::kShared;
    for (const Term& term : reader.terms)
      if (term.kind == TermKind::kMat && term.ref.buffer == buffer) return Place::kShared;
    for (const Ref& ref : pointwise(reader))
      if (ref.buffer == buffer && !owns(sums[static_cast<size_t>(at)], sums[writer]))
        return Place::kShared;
  }
  return Place::kPrivate;
}

}  // namespace

bool reads_own(const Program& program, const Dealing& dealing, int instruction, const Ref& ref) {
  const Instruction& reader = program.instructions()[static_cast<size_t>(instruction)];
  const Op writer = program.instructions()[writer_of(program, ref.buffer)].op;
  if (reader.op != Op::kSum || writer != Op::kSum) return false;
  for (const Term& term : reader.terms)
    if (term.kind == TermKind::kMat && term.ref.buffer == ref.buffer && term.ref.dy == ref.dy &&
        term.ref.dx == ref.dx)
      return false;
  return owns(
      dealing.sums[static_cast<size_t>(instruction)], dealing.sums[writer_of(program, ref.buffer)]);
}

Dealing deal(const Program& program, const Schedule& schedule, int blocks) {
  Dealing dealing;
  dealing.sums.resize(program.instructions().size());
  for (const int at : schedule.order) {
    const Instruction& sum = program.instructions()[static_cast<size_t>(at)];
    if (sum.op == Op::kSum)
      dealing.sums[static_cast<size_t>(at)].repeated = blocks == 1 || worth_repeating(program, sum);
  }
  settle_periods(program, schedule, &dealing.sums);
  for (Deal& sum : dealing.sums)
    sum.chunk = sum.repeated ? sum.period : (sum.period + blocks - 1) / blocks;
  for (size_t i = 0; i < program.buffers().size(); ++i)
    dealing.places.push_back(place_of(program, schedule, dealing.sums, static_cast<int>(i)));
  return dealing;
}

}  // namespace genfast::cuda
