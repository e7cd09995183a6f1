// Lays out a machine of given blocks: its steps, the image of its weights, and memory for values.
#pragma once

#include <vector>

#include "cuda/plan/dealing.h"
#include "cuda/plan/memory.h"
#include "cuda/plan/planner.h"
#include "cuda/plan/schedule.h"

namespace genfast::cuda {

// What leaves the chip when it is too small: values of whole rows of an image that all blocks
// share, and then those that a block keeps for itself.
enum class Spill { kNothing, kImageRows, kAllRows };

class Layout {
 public:
  Layout(
      const program::Program& program,
      const Schedule& schedule,
      Precision precision,
      int32_t blocks,
      bool grid);

  // Memory for so many rows of the batch and rows of the image at once. False: it does not fit into
  // `shared_bytes`, the weights of products included if `holds_weights`.
  bool lay_out(int32_t rows, int32_t lanes, Spill spill, int64_t shared_bytes, bool holds_weights);

  const Plan& plan() const { return plan_; }

 private:
  StepPlan sum_step(const program::Instruction& sum, const Deal& deal);
  StepPlan draw_step(const program::Instruction& draw) const;
  void add_steps();
  void add_terms(const program::Instruction& sum, StepPlan* step);
  void place_weights();
  void add_piece(int64_t bytes, int64_t* offset);
  // How far readers of a buffer look back, and whether one comes at another tick than the writer.
  struct Reach {
    int up = 0;
    int back = 0;
    bool later = false;
  };

  void set_keep(size_t buffer);
  Reach reach_of(size_t buffer) const;
  void set_slots(size_t buffer, Spill spill);
  int64_t words_of(size_t buffer) const;
  Tenant tenant(size_t buffer) const;
  void seat_values();
  void make_room(int64_t cells);
  void mark_resident(int64_t bytes);

  const program::Program& program_;
  const Schedule& schedule_;
  Dealing dealing_;
  std::vector<bool> barriers_;
  std::vector<int> reaches_;     // of each buffer, how many rows or sites back somebody reads it
  std::vector<int64_t> pieces_;  // where those of the image end
  int64_t product_bytes_ = 0;    // of the image: weights of products and biases of a tick
  Plan plan_;
};

}  // namespace genfast::cuda
