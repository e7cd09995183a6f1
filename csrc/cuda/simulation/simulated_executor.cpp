#include "cuda/simulation/simulated_executor.h"

#include <cstring>

#include "cuda/simulation/simulation.h"

namespace genfast::cuda {
namespace {

class HostStorage : public Storage {
 public:
  explicit HostStorage(size_t bytes) : words_((bytes + 15) / 16) {}
  void* data() override { return words_.data(); }
  void upload(const void* from, size_t bytes) override { std::memcpy(words_.data(), from, bytes); }
  void download(void* to, size_t bytes) const override { std::memcpy(to, words_.data(), bytes); }

 private:
  struct alignas(16) Quad {
    std::byte bytes[16];
  };
  std::vector<Quad> words_;
};

class SimulatedMachine : public Machine {
 public:
  SimulatedMachine(const program::Program& program, Plan plan, uint64_t seed)
      : plan_(std::move(plan)), seed_(seed) {
    for (int rank = 0; rank < plan_.header.blocks; ++rank) {
      const std::vector<std::byte> image = pack_image(program, plan_, rank);
      images_.insert(images_.end(), image.begin(), image.end());
    }
  }

  const Plan& plan() const override { return plan_; }
  std::unique_ptr<Storage> storage(size_t bytes) override {
    return std::make_unique<HostStorage>(bytes);
  }
  unsigned long long run(const Launch& launch, uintptr_t) override {
    return simulate(plan_, images_, launch, seed_++);
  }

 private:
  Plan plan_;
  uint64_t seed_;
  std::vector<std::byte> images_;
};

}  // namespace

SimulatedExecutor::SimulatedExecutor(
    std::shared_ptr<const program::Program> program,
    Precision precision,
    const Limits& limits,
    uint64_t seed)
    : program_(std::move(program)), precision_(precision), limits_(limits), seed_(seed) {
  core::require(program_->finished(), "Executor: finish the program first");
}

void SimulatedExecutor::sabotage(int step) { without_ = step; }

Plan SimulatedExecutor::plan(int64_t batch) const {
  Plan plan = make_plan(*program_, precision_, limits_, batch);
  if (without_ >= 0) plan.steps.at(static_cast<size_t>(without_)).barrier = 0;
  return plan;
}

std::unique_ptr<Machine> SimulatedExecutor::machine(int64_t batch) const {
  return std::make_unique<SimulatedMachine>(*program_, plan(batch), seed_);
}

}  // namespace genfast::cuda
