// A program on a simulated GPU.
#pragma once

#include <memory>
#include <vector>

#include "cuda/session.h"

namespace genfast::cuda {

class SimulatedExecutor : public Executor {
 public:
  // seed: of the orders in which blocks and threads take turns.
  SimulatedExecutor(
      std::shared_ptr<const program::Program> program,
      Precision precision,
      const Limits& limits,
      uint64_t seed);

  const program::Program& program() const override { return *program_; }
  std::unique_ptr<Machine> machine(int64_t batch) const override;
  Plan plan(int64_t batch) const;

  // For tests: the barrier before this step is left out of plans made from now on; -1: none.
  void sabotage(int step);

 private:
  std::shared_ptr<const program::Program> program_;
  Precision precision_;
  Limits limits_;
  uint64_t seed_;
  int without_ = -1;
};

}  // namespace genfast::cuda
