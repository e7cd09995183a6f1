// The image of a block: its share of every weight, in the order in which threads read it.
//
//   float32    [row / 4][k / 32][row % 4][k % 32]: eight threads share a row, 4 of every 32 k each,
//              so that the 32 of a warp read 512 bytes in one stretch
//   bfloat16   [row / 16][k / 16][thread][8]: what each thread of a warp holds of the first operand
//              of a product of 16 rows and 16 k; of a last tile of 8 rows, [k / 16][thread][4],
//              what it holds of the second
#include <bit>
#include <cstring>

#include "cuda/kernel/tiles.h"
#include "cuda/plan/planner.h"

namespace genfast::cuda {
namespace {

using program::Instruction;
using program::Program;

// The pre-activation of the whole that row `row` of a block is, or -1 for padding.
int64_t source_of(const StepPlan& step, int rank, int row) {
  if (row >= step.block_units * step.gates) return -1;
  const int unit = unit_of(step, rank, row / step.gates);
  return unit < 0 ? -1 : int64_t{row % step.gates} * step.units + unit;
}

class Packer {
 public:
  Packer(const Program& program, const Plan& plan, int rank)
      : program_(program),
        plan_(plan),
        rank_(rank),
        image_(static_cast<size_t>(plan.header.image_bytes), std::byte{0}) {}

  std::vector<std::byte> image() {
    for (const StepPlan& step : plan_.steps)
      if (step.op == StepOp::kSum) pack(step);
    return std::move(image_);
  }

 private:
  void pack(const StepPlan& step) {
    const Instruction& sum = program_.instructions()[static_cast<size_t>(step.instruction)];
    int32_t depth = 0;
    for (int32_t t = 0; t < step.num_terms; ++t) {
      const TermPlan& term = plan_.terms[static_cast<size_t>(step.first_term + t)];
      const std::vector<float>& weights = sum.terms[static_cast<size_t>(t)].weights;
      if (term.kind == TermPlanKind::kMat) pack_product(step, term, weights, depth);
      if (term.kind == TermPlanKind::kLook) pack_table(step, term, weights);
      depth += term.depth;
    }
    if (step.bias >= 0) pack_row(step, step.bias, sum.bias.data());
  }

  void pack_row(const StepPlan& step, int64_t offset, const float* values) {
    for (int row = 0; row < step.rows; ++row)
      if (const int64_t source = source_of(step, rank_, row); source >= 0)
        put(offset + int64_t{4} * row, values[source]);
  }

  void pack_table(const StepPlan& step, const TermPlan& term, const std::vector<float>& table) {
    const int64_t width = int64_t{step.units} * step.gates;
    const int64_t symbols = static_cast<int64_t>(table.size()) / width;
    for (int64_t s = 0; s < symbols; ++s)
      pack_row(step, term.table + 4 * s * step.rows, table.data() + s * width);
  }

  void pack_product(
      const StepPlan& step,
      const TermPlan& term,
      const std::vector<float>& weights,
      int32_t depth) {
    const bool tiles = plan_.header.precision == Precision::kBFloat16;
    for (int row = 0; row < step.rows; ++row) {
      const int64_t source = source_of(step, rank_, row);
      for (int k = 0; k < term.width && source >= 0; ++k) {
        const float weight = weights[static_cast<size_t>(source * term.width + k)];
        if (tiles)
          put(step.weights + 2 * tile_place(step, depth, row, k), rounded_to_bfloat16(weight));
        else
          put(step.weights + 4 * dot_place(step, depth, row, k), weight);
      }
    }
  }

  template <typename T>
  void put(int64_t offset, T value) {
    std::memcpy(image_.data() + offset, &value, sizeof value);
  }

  const Program& program_;
  const Plan& plan_;
  int rank_;
  std::vector<std::byte> image_;
};

}  // namespace

std::vector<std::byte> pack_image(const Program& program, const Plan& plan, int rank) {
  return Packer(program, plan, rank).image();
}

}  // namespace genfast::cuda
