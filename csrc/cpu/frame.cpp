// What each thread of a session does: which rows, which panels, and everything about a sum that no
// site changes.
#include "cpu/frame.h"

#include <algorithm>
#include <iterator>

namespace genfast::cpu {
namespace {

using program::Op;

// Rows of a thread below which threads split panels: where a thread would otherwise wait for more
// weights than its rows give it arithmetic for. Weights that the second-level cache holds come
// faster, but small ones are not worth a barrier.
struct SplitRule {
  int64_t bytes;  // of all matrices, at least
  int64_t rows;   // of a thread, fewer than
};
constexpr SplitRule kSplitRules[] = {{int64_t{2} << 20, 9}, {int64_t{128} << 10, 6}};
// Of an image, whose sums are small beside a barrier. A gated net of 128 features takes 0.57 of the
// time at a batch of 1 and 0.78 at 2; one of 32, which is below, would take 1.4 times.
constexpr SplitRule kImageRule = {int64_t{2} << 20, 2};

int32_t share(int64_t whole, int part, int parts) {
  return static_cast<int32_t>(whole * part / parts);
}

Epilogue kernel_epilogue(program::Epilogue epilogue) {
  switch (epilogue) {
    case program::Epilogue::kNone: return Epilogue::kNone;
    case program::Epilogue::kRelu: return Epilogue::kRelu;
    case program::Epilogue::kTanh: return Epilogue::kTanh;
    case program::Epilogue::kSigmoid: return Epilogue::kSigmoid;
    case program::Epilogue::kGate: return Epilogue::kGate;
    case program::Epilogue::kLstm: return Epilogue::kLstm;
    case program::Epilogue::kGru: return Epilogue::kGru;
  }
  return Epilogue::kNone;
}

Term::Kind kernel_kind(program::TermKind kind) {
  switch (kind) {
    case program::TermKind::kMat: return Term::kMat;
    case program::TermKind::kLook: return Term::kLook;
    case program::TermKind::kAdd: return Term::kAdd;
  }
  return Term::kAdd;
}

SumArgs fixed_part(const PackedSum& packed, program::Epilogue epilogue, int32_t batch) {
  SumArgs args{};
  args.epilogue = kernel_epilogue(epilogue);
  args.units = packed.units;
  args.vectors = packed.vectors;
  args.last_vectors = packed.last_vectors;
  args.panels = packed.panels;
  args.depth = packed.depth;
  args.weights = packed.weights.data();
  args.bias = packed.bias.data();
  args.packed_width = packed.packed_width;
  args.batch = batch;
  return args;
}

}  // namespace

bool Session::by_units(int threads) const {
  const auto applies = [&](SplitRule rule) {
    return executor_->matrix_bytes() >= rule.bytes && (batch_ + threads - 1) / threads < rule.rows;
  };
  if (threads == 1) return false;
  return is_raster() ? applies(kImageRule)
                     : std::any_of(std::begin(kSplitRules), std::end(kSplitRules), applies);
}

Session::Frame Session::make_frame(int thread, int threads) const {
  const bool units = plan_.units;
  const bool all_rows = units || plan_.wavefront;
  const auto batch = static_cast<int32_t>(batch_);
  const program::Program& program = executor_->program();
  Frame frame;
  frame.thread = thread;
  frame.row_begin = all_rows ? 0 : share(batch_, thread, threads);
  frame.row_end = all_rows ? batch : share(batch_, thread + 1, threads);
  frame.meets = meets();
  frame.hidden_values =
      core::Aligned<int64_t>(static_cast<size_t>(units ? batch_ * program.values() : 0));
  int64_t classes = 0;
  for (size_t i = 0; i < program.instructions().size(); ++i) {
    const program::Instruction& instruction = program.instructions()[i];
    const PackedSum& packed = executor_->packed(i);
    SumArgs args = fixed_part(packed, instruction.epilogue, frame.row_end - frame.row_begin);
    args.row_begin = frame.row_begin;
    args.row_end = frame.row_end;
    args.panel_begin = units ? share(packed.panels, thread, threads) : 0;
    args.panel_end = units ? share(packed.panels, thread + 1, threads) : packed.panels;
    std::vector<Term> terms;
    for (size_t t = 0; t < instruction.terms.size(); ++t) {
      const program::Buffer& buffer =
          program.buffers()[static_cast<size_t>(instruction.terms[t].ref.buffer)];
      Term term{};
      term.kind = kernel_kind(instruction.terms[t].kind);
      term.width = static_cast<int32_t>(buffer.width);
      term.table = packed.tables[t].data();
      terms.push_back(term);
    }
    args.num_terms = static_cast<int32_t>(terms.size());
    frame.terms.push_back(std::move(terms));
    args.terms = frame.terms.back().data();
    frame.sums.push_back(args);
    classes = std::max(classes, instruction.choices);
  }
  if (program.order() == program::Order::kRaster) add_raster_code(&frame);
  frame.scratch =
      core::Aligned<float>(static_cast<size_t>(kDrawScratchRows * ((classes + 15) / 16 * 16)));
  return frame;
}

// Threads that split panels meet behind every sum, before anybody reads what all have written. A
// draw they do alike and need not meet behind, unless the sum that comes next overwrites the scores
// that a slower thread still reads.
std::vector<bool> Session::meets() const {
  const program::Program& program = executor_->program();
  const std::vector<program::Instruction>& all = program.instructions();
  std::vector<bool> meets(all.size(), true);
  if (program.order() == program::Order::kRaster) return meets;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].op != Op::kDraw) continue;
    size_t next = (i + 1) % all.size();
    while (all[next].op != Op::kSum || all[next].phase == program::Phase::kStart)
      next = (next + 1) % all.size();
    const std::vector<int>& written = all[next].targets;
    meets[i] = std::find(written.begin(), written.end(), all[i].scores.buffer) != written.end();
  }
  return meets;
}

void Session::add_raster_code(Frame* frame) const {
  const std::vector<program::Instruction>& all = executor_->program().instructions();
  Segment segment;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].op == Op::kInput || all[i].phase == program::Phase::kStart) continue;
    Code& code = all[i].phase == program::Phase::kRow ? frame->row_code : frame->site_code;
    if (all[i].op == Op::kSum && !executor_->absorbed(i)) {
      code.instructions.push_back(i);
      code.sums.push_back(frame->sums[i]);
    }
    if (all[i].op != Op::kDraw) continue;
    segment.end = static_cast<int32_t>(code.sums.size());
    segment.draw = static_cast<int64_t>(i);
    frame->segments.push_back(segment);
    segment = {segment.end, segment.end, -1};
  }
  segment.end = static_cast<int32_t>(frame->site_code.sums.size());
  frame->segments.push_back(segment);
  frame->lanes = std::make_unique<Lane[]>(static_cast<size_t>(plan_.flight));
  for (int f = 0; f < plan_.flight; ++f) {
    frame->lanes[static_cast<size_t>(f)].flight = f;
    frame->lanes[static_cast<size_t>(f)].reached.resize(frame->row_code.sums.size());
  }
}

void Session::prepare_frames(int threads) {
  const Plan wanted = plan(threads);
  if (wanted == plan_ && !frames_.empty()) return;
  if (is_raster()) {
    const int rows = wanted.wavefront ? wanted.threads * wanted.flight : wanted.flight;
    lay_out(std::max(kept_->flight(), rows), wanted.wavefront || wanted.units ? 1 : wanted.threads);
  }
  plan_ = wanted;
  frames_.clear();
  for (int thread = 0; thread < wanted.threads; ++thread)
    frames_.push_back(make_frame(thread, wanted.threads));
  barrier_ = wanted.units ? std::make_unique<core::Barrier>(wanted.threads) : nullptr;
}

}  // namespace genfast::cpu
