#include "cuda/plan/listing.h"

#include <iomanip>
#include <sstream>

namespace genfast::cuda {
namespace {

const char* name_of(Place place) {
  switch (place) {
    case Place::kPrivate: return "private";
    case Place::kShared: return "shared";
    case Place::kRepeated: return "repeated";
    case Place::kGiven: break;
  }
  return "given";
}

const char* name_of(Arena arena) {
  switch (arena) {
    case Arena::kChip: return "chip";
    case Arena::kBlock: return "device, by block";
    case Arena::kMachine: break;
  }
  return "device";
}

void describe(std::ostringstream& out, const Plan& plan, const StepPlan& step) {
  out << (step.barrier != 0 ? "  -- barrier --\n" : "");
  const BufferPlan& target = plan.buffers[static_cast<size_t>(step.targets[0])];
  out << std::setw(5) << step.instruction << " " << std::left << std::setw(14)
      << plan.names[static_cast<size_t>(step.targets[0])] << std::setw(9) << name_of(target.place)
      << std::setw(17) << name_of(target.arena) << std::right;
  if (step.op == StepOp::kSum) {
    out << step.block_units << " of " << step.units << " units";
    if (step.parts > 0) out << ", k in " << step.parts << " parts";
    if (step.depth > 0) out << (step.weights_on_chip != 0 ? "" : ", weights in device memory");
  } else {
    out << "draw of " << step.choices;
  }
  if (step.ahead > 0) out << ", " << step.ahead << " columns ahead";
  out << "\n";
}

}  // namespace

std::string listing(const Plan& plan) {
  const PlanHeader& header = plan.header;
  std::ostringstream out;
  out << "machine: " << (header.grid != 0 ? "the grid, " : "") << header.blocks
      << (header.blocks == 1 ? " block, " : " blocks, ") << plan.machines << " at once, "
      << header.rows << " rows each; " << plan.barriers() << " barriers a tick\n";
  if (header.raster != 0)
    out << "images:  " << header.lanes << " rows in flight, " << header.skew << " columns apart\n";
  out << "chip:    " << 4 * header.chip_words << " bytes of values, " << header.resident_bytes
      << " of " << header.image_bytes << " bytes of weights\n";
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (i == 0 && plan.steps[i].once != 0) out << "start:\n";
    if (static_cast<int>(i) == header.once_steps) out << "tick:\n";
    describe(out, plan, plan.steps[i]);
  }
  return out.str();
}

}  // namespace genfast::cuda
