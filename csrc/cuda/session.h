// A batch in the middle of being drawn on a GPU, or on a simulated one: what cpu::Session is there.
//
// The bound arrays lie where the machine computes; the options, the inputs from the start and the
// state come from the host and are copied.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/busy.h"
#include "core/tensor.h"
#include "cuda/kernel/launch.h"
#include "cuda/plan/planner.h"

namespace genfast::cuda {

// Memory where a machine computes.
class Storage {
 public:
  virtual ~Storage() = default;
  virtual void* data() = 0;
  virtual void upload(const void* from, size_t bytes) = 0;
  virtual void download(void* to, size_t bytes) const = 0;
};

// Runs launches of one plan.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual const Plan& plan() const = 0;
  virtual std::unique_ptr<Storage> storage(size_t bytes) = 0;
  // Draws; the launch says everything but what the plan has and the machine owns. Returns the least
  // failure, or kNoFailure.
  virtual unsigned long long run(const Launch& launch, uintptr_t stream) = 0;
};

// A program, packed for machines of one kind.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual const program::Program& program() const = 0;
  virtual std::unique_ptr<Machine> machine(int64_t batch) const = 0;
};

class Session {
 public:
  Session(std::shared_ptr<const Executor> executor, int64_t batch);

  void options(
      const core::Tensor& temperature,
      const core::Tensor& top_k,
      const core::Tensor& top_p);
  void input(int buffer, const core::Tensor& values);
  void bind(
      const core::Tensor& uniforms,
      const core::Tensor& values,
      const core::Tensor* forced,
      const core::Tensor* scores,
      const core::Tensor* log_probs);
  void bind_inputs(const std::map<int, core::Tensor>& inputs);

  // Runs `count` sites into the bound columns from `first` on; of an image all sites, from column 0
  // on. `interrupted` is asked between chunks of a sequence. Returns the sites that were finished.
  int64_t advance(
      int64_t first,
      int64_t count,
      uintptr_t stream,
      const std::function<bool()>& interrupted);

  // Single rows of a sequence begin again; rows are chosen; a state is taken and put back.
  void reset(const core::Tensor& rows);
  void select(const core::Tensor& rows);
  std::string state() const;
  void restore(const std::string& state);

  int64_t batch() const { return batch_; }
  int64_t position() const { return position_; }
  const Plan& plan() const { return machine_->plan(); }

 private:
  bool is_raster() const { return plan().header.raster != 0; }
  const program::Instruction& input_of(int buffer, program::Phase phase, const char* what) const;
  void prepare(int64_t batch);
  void bend(std::vector<float> temperature, std::vector<int64_t> top_k, std::vector<float> top_p);
  std::vector<uint32_t> borders() const;
  std::vector<uint32_t> saved() const;
  void keep(const std::vector<uint32_t>& saved);
  void keep(const void* from, size_t bytes, std::unique_ptr<Storage>* storage);
  void check_advance(int64_t first, int64_t count) const;
  std::unique_ptr<Storage> stored(const void* from, size_t bytes);
  [[noreturn]] void fail(unsigned long long failure, int64_t position);
  std::vector<int64_t> checked_rows(const core::Tensor& rows) const;
  void copy_row(
      const std::vector<uint32_t>& from,
      int64_t from_batch,
      int64_t from_row,
      std::vector<uint32_t>* to,
      int64_t to_batch,
      int64_t to_row) const;

  std::shared_ptr<const Executor> executor_;
  std::unique_ptr<Machine> machine_;
  int64_t batch_ = 0;
  int64_t position_ = 0;
  bool failed_ = false;
  Launch launch_;
  std::vector<float> temperature_;  // one a row,
  std::vector<int64_t> top_k_;
  std::vector<float> top_p_;
  std::array<std::unique_ptr<Storage>, 3> options_;  // and copies of these three
  std::unique_ptr<Storage> saved_;
  std::vector<const void*> given_;                // of each kGiven buffer, where it lies
  std::vector<std::unique_ptr<Storage>> inputs_;  // of each kGiven buffer, copies
  std::unique_ptr<Storage> given_pointers_;       // of given_, as they were last
  std::vector<const void*> given_before_;
  mutable std::atomic<bool> busy_{false};
};

}  // namespace genfast::cuda
