#include "cuda/plan/layout.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "cuda/plan/barriers.h"

namespace genfast::cuda {
namespace {

using program::Instruction;
using program::Op;
using program::Phase;
using program::Program;
using program::Ref;
using program::Term;
using program::TermKind;

// Room for the parts of sums, and for draws, unless one cell needs more.
constexpr int64_t kPartWords = 6144;
constexpr int64_t kDrawWords = 4096;
constexpr int64_t kMostDrawWords = 4096;  // of one cell; beyond that it draws in device memory
constexpr int64_t kPiece = 16;            // bytes: alignment of what lies in an image

template <typename T>
T rounded(T value, T multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Cells computed at once where there is room for so many: whole tiles, if for one at all.
int32_t at_once(int64_t room, int64_t cells) {
  const int64_t count = std::clamp<int64_t>(room, 1, cells);
  return static_cast<int32_t>(count > kTileCells ? count / kTileCells * kTileCells : count);
}

RefPlan plan_of(const Ref& ref) { return {ref.buffer, ref.dy, ref.dx}; }

int32_t ring_of(int64_t slots) {
  return static_cast<int32_t>(std::bit_ceil(static_cast<uint64_t>(slots)));
}

}  // namespace

Layout::Layout(
    const Program& program,
    const Schedule& schedule,
    Precision precision,
    int32_t blocks,
    bool grid)
    : program_(program), schedule_(schedule), dealing_(deal(program, schedule, blocks)) {
  PlanHeader& header = plan_.header;
  header.precision = precision;
  header.blocks = blocks;
  header.grid = grid;
  header.raster = program.order() == program::Order::kRaster;
  header.image_rows = static_cast<int32_t>(program.rows());
  header.image_columns = static_cast<int32_t>(program.columns());
  header.most_ahead = schedule.most_ahead;
  header.skew = schedule.skew;
  header.draws = static_cast<int32_t>(program.draws());
  header.uniforms = static_cast<int32_t>(program.uniforms());
  header.values = static_cast<int32_t>(program.values());
  header.once_steps = schedule.once;
  barriers_ = blocks == 1 ? std::vector<bool>(schedule.order.size(), false)
                          : barriers_of(program, schedule, dealing_);
  plan_.buffers.resize(program.buffers().size());
  for (size_t i = 0; i < plan_.buffers.size(); ++i) set_keep(i);
  add_steps();
  place_weights();
  header.num_buffers = static_cast<int32_t>(plan_.buffers.size());
  header.num_steps = static_cast<int32_t>(plan_.steps.size());
  header.num_terms = static_cast<int32_t>(plan_.terms.size());
}

// What a buffer is, and for how long somebody reads it.
void Layout::set_keep(size_t buffer) {
  const program::Buffer& from = program_.buffers()[buffer];
  const Instruction& writer = program_.instructions()[static_cast<size_t>(from.writer)];
  const Deal& deal = dealing_.sums[static_cast<size_t>(from.writer)];
  BufferPlan& plan = plan_.buffers[buffer];
  plan_.names.push_back(from.name);
  plan.place = dealing_.places[buffer];
  plan.symbol = from.kind == program::Kind::kSym;
  plan.width = static_cast<int32_t>(from.width);
  plan.vocabulary = static_cast<int32_t>(from.vocabulary);
  plan.period = writer.op == Op::kSum ? deal.period : plan.width;
  plan.chunk = writer.op == Op::kSum ? deal.chunk : plan.width;
  plan.by_site = writer.op == Op::kInput && writer.phase != Phase::kStart;
  for (size_t i = 0; i < buffer; ++i) plan.given += plan_.buffers[i].place == Place::kGiven;
  const Reach reach = reach_of(buffer);
  core::require(
      plan_.header.raster != 0 || plan.by_site == 0 || reach.back == 0,
      "plan: a GPU keeps no earlier sites of the input ", from.name, ", at which somebody looks");
  reaches_.push_back(plan_.header.raster != 0 ? reach.up : reach.back);
  plan.keep = writer.phase == Phase::kStart ? Keep::kOnce
              : !reach.later                ? Keep::kTick
              : plan_.header.raster != 0    ? Keep::kRows
                                            : Keep::kRing;
}

// How far its readers look.
Layout::Reach Layout::reach_of(size_t buffer) const {
  const int writer = program_.buffers()[buffer].writer;
  Reach reach;
  for (const int at : schedule_.order)
    for (const Ref& ref : program_.instructions()[static_cast<size_t>(at)].refs()) {
      if (ref.buffer != static_cast<int>(buffer)) continue;
      reach.up = std::max(reach.up, -ref.dy);
      reach.back = std::max(reach.back, -ref.dx);
      const int ahead = schedule_.ahead[static_cast<size_t>(at)] + ref.dx;
      if (ref.dy != 0 || ahead != schedule_.ahead[static_cast<size_t>(writer)]) reach.later = true;
    }
  return reach;
}

void Layout::add_steps() {
  for (size_t i = 0; i < schedule_.order.size(); ++i) {
    const int at = schedule_.order[i];
    const Instruction& instruction = program_.instructions()[static_cast<size_t>(at)];
    StepPlan step = instruction.op == Op::kSum
                        ? sum_step(instruction, dealing_.sums[static_cast<size_t>(at)])
                        : draw_step(instruction);
    step.instruction = at;
    step.once = static_cast<int>(i) < schedule_.once;
    step.barrier = barriers_[i];
    step.ahead = schedule_.ahead[static_cast<size_t>(at)];
    step.num_targets = static_cast<int32_t>(instruction.targets.size());
    std::copy(instruction.targets.begin(), instruction.targets.end(), step.targets);
    plan_.steps.push_back(step);
  }
}

StepPlan Layout::sum_step(const Instruction& sum, const Deal& deal) {
  const bool tiles = plan_.header.precision == Precision::kBFloat16;
  StepPlan step{};
  step.op = StepOp::kSum;
  step.epilogue = static_cast<StepEpilogue>(sum.epilogue);
  step.gates = program::gates_of(sum.epilogue);
  step.units = static_cast<int32_t>(program_.buffers()[static_cast<size_t>(sum.targets[0])].width);
  step.repeated = deal.repeated;
  step.period = deal.period;
  step.chunk = deal.chunk;
  step.block_units = step.units / step.period * step.chunk;
  step.rows = rounded(step.block_units * step.gates, tiles ? kHalfTileRows : kDotRows);
  for (size_t s = 0; s < sum.states.size(); ++s) step.states[s] = plan_of(sum.states[s]);
  add_terms(sum, &step);
  // Shares of k are a matter of the shape alone, so that bits are.
  const auto shares = static_cast<uint32_t>(std::clamp(step.depth / 4, 1, kDotLanes));
  step.parts = step.depth == 0 ? 0 : tiles ? static_cast<int>(std::bit_floor(shares)) : kDotLanes;
  step.part_stride = rounded(step.rows, 32) + 4;  // four rows of eight parts meet all banks
  return step;
}

void Layout::add_terms(const Instruction& sum, StepPlan* step) {
  const int32_t tile = plan_.header.precision == Precision::kBFloat16 ? kTileDepth : kDotDepth;
  step->first_term = static_cast<int32_t>(plan_.terms.size());
  step->num_terms = static_cast<int32_t>(sum.terms.size());
  for (const Term& term : sum.terms) {
    TermPlan plan{};
    plan.kind = static_cast<TermPlanKind>(term.kind);
    plan.ref = plan_of(term.ref);
    if (term.kind == TermKind::kMat) {
      plan.width = plan_.buffers[static_cast<size_t>(term.ref.buffer)].width;
      plan.depth = (plan.width + tile - 1) / tile;
      step->depth += plan.depth;
      plan_.header.zeros_words =
          std::max(plan_.header.zeros_words, int64_t{rounded(plan.width, 4)});
    }
    plan_.terms.push_back(plan);
  }
}

StepPlan Layout::draw_step(const Instruction& draw) const {
  StepPlan step{};
  step.op =
      draw.head == program::Head::kCategorical ? StepOp::kCategorical : StepOp::kLogisticMixture;
  step.scores = plan_of(draw.scores);
  step.classes = plan_.buffers[static_cast<size_t>(draw.targets[0])].vocabulary;
  step.choices = static_cast<int32_t>(draw.choices);
  step.number = static_cast<int32_t>(draw.number);
  step.first_uniform = static_cast<int32_t>(draw.first_uniform);
  step.first_value = static_cast<int32_t>(draw.first_value);
  return step;
}

void Layout::add_piece(int64_t bytes, int64_t* offset) {
  *offset = plan_.header.image_bytes;
  plan_.header.image_bytes += rounded(bytes, kPiece);
  pieces_.push_back(plan_.header.image_bytes);
}

// The first pieces of an image lie on the chip, as many as there is room for.
void Layout::mark_resident(int64_t bytes) {
  int64_t& resident = plan_.header.resident_bytes;
  resident = 0;
  for (const int64_t end : pieces_)
    if (end <= bytes) resident = end;
  for (StepPlan& step : plan_.steps) {
    step.weights_on_chip = step.weights < resident;
    step.bias_on_chip = step.bias < resident;
  }
  for (TermPlan& term : plan_.terms) term.on_chip = term.table < resident;
}

// What is read at every tick comes first, and products before tables, of which a row is read.
void Layout::place_weights() {
  const int64_t item = plan_.header.precision == Precision::kBFloat16 ? 2 : 4;
  const int64_t depth = item == 2 ? kTileDepth : kDotDepth;
  for (const int32_t once : {0, 1}) {
    for (StepPlan& step : plan_.steps) {
      if (step.op != StepOp::kSum || step.once != once) continue;
      add_piece(item * step.rows * step.depth * depth, &step.weights);
      const bool biased =
          !program_.instructions()[static_cast<size_t>(step.instruction)].bias.empty();
      step.bias = -1;
      if (biased) add_piece(int64_t{4} * step.rows, &step.bias);
    }
    if (once == 0) product_bytes_ = plan_.header.image_bytes;
  }
  for (const int32_t once : {0, 1})
    for (const StepPlan& step : plan_.steps)
      for (int32_t t = 0; t < step.num_terms && step.once == once; ++t) {
        TermPlan& term = plan_.terms[static_cast<size_t>(step.first_term + t)];
        if (term.kind != TermPlanKind::kLook) continue;
        const int32_t symbols = plan_.buffers[static_cast<size_t>(term.ref.buffer)].vocabulary + 1;
        add_piece(int64_t{4} * symbols * step.rows, &term.table);
      }
}

// Slots, and whether they lie on the chip.
void Layout::set_slots(size_t buffer, Spill spill) {
  const Keep keep = plan_.buffers[buffer].keep;
  BufferPlan& plan = plan_.buffers[buffer];
  const bool shared = plan.place == Place::kShared;
  plan.ring = ring_of(reaches_[buffer] + (keep == Keep::kRows ? plan_.header.lanes : 1));
  plan.stride = plan.symbol != 0                ? 1
                : plan.place == Place::kPrivate ? rounded(plan.width / plan.period * plan.chunk, 4)
                                                : rounded(plan.width, 4);
  const bool leaves =
      keep == Keep::kRows && (spill == Spill::kAllRows || (shared && spill == Spill::kImageRows));
  plan.arena = plan.place == Place::kGiven                    ? Arena::kMachine
               : shared && (plan_.header.grid != 0 || leaves) ? Arena::kMachine
               : leaves                                       ? Arena::kBlock
                                                              : Arena::kChip;
}

int64_t Layout::words_of(size_t buffer) const {
  const BufferPlan& plan = plan_.buffers[buffer];
  if (plan.place == Place::kGiven) return 0;
  const int64_t rows = plan_.header.rows;
  switch (plan.keep) {
    case Keep::kOnce: return rows * plan.stride;
    case Keep::kTick: return rows * plan_.header.lanes * plan.stride;
    case Keep::kRing: return rows * plan.ring * plan.stride;
    case Keep::kRows: break;
  }
  return rows * plan.ring * plan_.header.image_columns * plan.stride;
}

// When a value needs its words. One of a tick that blocks write for each other takes them behind
// the barrier before its writer, for some block may be no further, and gives them up at the barrier
// behind its last reader.
Tenant Layout::tenant(size_t buffer) const {
  const BufferPlan& plan = plan_.buffers[buffer];
  if (plan.keep != Keep::kTick || plan.place == Place::kGiven) return {words_of(buffer), -1, -1};
  const int steps = static_cast<int>(schedule_.order.size()) - schedule_.once;
  const auto barrier = [&](int step) {
    return barriers_[static_cast<size_t>(schedule_.once + (step + steps) % steps)];
  };
  const int writer = place_in(schedule_, program_.buffers()[buffer].writer) - schedule_.once;
  const int reader = last_reader(program_, schedule_, static_cast<int>(buffer)) - schedule_.once;
  int begin = writer;
  int end = std::max(writer, reader) + 1;
  if (plan.place == Place::kShared) {
    for (const int latest = end + steps - 1; end < latest && !barrier(end); ++end) {
    }
    for (const int earliest = begin - steps; begin > earliest && !barrier(begin); --begin) {
    }
  }
  const int turn = begin < 0 ? steps : 0;
  return {words_of(buffer), begin + turn, end + turn};
}

// Gives every buffer its place in its arena.
void Layout::seat_values() {
  PlanHeader& header = plan_.header;
  const std::pair<Arena, int64_t*> arenas[] = {
      {Arena::kChip, &header.chip_words},
      {Arena::kBlock, &header.block_words},
      {Arena::kMachine, &header.machine_words}};
  const int steps = static_cast<int>(schedule_.order.size()) - schedule_.once;
  for (const auto& [arena, words] : arenas) {
    std::vector<Tenant> tenants(plan_.buffers.size());
    for (size_t i = 0; i < tenants.size(); ++i)
      if (plan_.buffers[i].arena == arena) tenants[i] = tenant(i);
    const Seats seats = seat(tenants, steps);
    for (size_t i = 0; i < tenants.size(); ++i)
      if (plan_.buffers[i].arena == arena) plan_.buffers[i].offset = *words + seats.offsets[i];
    *words += seats.words;
  }
}

// Room for the parts of sums, and for draws; how many cells that is for.
void Layout::make_room(int64_t cells) {
  PlanHeader& header = plan_.header;
  int64_t part_words = 0;
  header.draw_words = 0;
  header.parameters = 0;
  for (StepPlan& step : plan_.steps) {
    if (step.op == StepOp::kSum) {
      const int64_t each = std::max<int64_t>(1, int64_t{step.parts} * step.part_stride);
      step.at_once = at_once(kPartWords / each, step.once != 0 ? header.rows : cells);
      part_words = std::max(part_words, step.at_once * each);
      continue;
    }
    const BufferPlan& scores = plan_.buffers[static_cast<size_t>(step.scores.buffer)];
    const int64_t each = int64_t{2} * step.choices + 2 * kSegments + 8;
    header.draw_words = std::max(header.draw_words, rounded(each, int64_t{4}));
    header.parameters = std::max(header.parameters, scores.width);
  }
  header.draw_on_chip = header.draw_words <= kMostDrawWords;
  header.draw_at_once = at_once(kDrawWords / header.draw_words, cells);
  header.zeros = rounded(int64_t{2} * header.lanes, int64_t{4});
  header.parts = header.zeros + header.zeros_words;
  header.chip_words = header.parts + rounded(part_words, int64_t{4});
  header.block_words = header.machine_words = 0;
  int64_t* const arena = header.draw_on_chip != 0 ? &header.chip_words : &header.block_words;
  header.draw = *arena;
  *arena += header.draw_words * header.draw_at_once;
}

bool Layout::lay_out(
    int32_t rows,
    int32_t lanes,
    Spill spill,
    int64_t shared_bytes,
    bool holds_weights) {
  PlanHeader& header = plan_.header;
  header.rows = rows;
  header.lanes = lanes;
  header.period = std::max(header.image_columns + header.most_ahead, lanes * header.skew);
  header.saved_words = 0;
  for (size_t i = 0; i < plan_.buffers.size(); ++i) {
    BufferPlan& plan = plan_.buffers[i];
    set_slots(i, spill);
    plan.saved = header.saved_words;
    if (plan.keep == Keep::kRing) header.saved_words += int64_t{plan.ring} * plan.width;
  }
  make_room(int64_t{rows} * lanes);
  seat_values();
  const int64_t left = shared_bytes - 4 * header.chip_words;
  if (left < (holds_weights ? product_bytes_ : 0)) return false;
  mark_resident(left);
  plan_.streams = header.resident_bytes < product_bytes_;
  return true;
}

}  // namespace genfast::cuda
