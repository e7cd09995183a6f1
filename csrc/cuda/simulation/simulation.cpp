#include "cuda/simulation/simulation.h"

#include <thread>

#include "cuda/kernel/kernel.h"
#include "cuda/simulation/simulated_block.h"

namespace genfast::cuda {
namespace {

// Unwinds a block when another one has failed.
struct Abandoned {};

void describe(std::ostringstream& out, const Memory::Access& access) {
  out << "block " << access.block << " behind barrier " << access.epoch << ", thread "
      << access.item;
}

}  // namespace

Stage::Stage(const Launch& launch, uint64_t seed, int64_t machine)
    : launch(launch), machine(machine), random(seed + static_cast<uint64_t>(machine)) {
  const PlanHeader& plan = launch.plan;
  const auto count = static_cast<size_t>(plan.blocks);
  chips.resize(count);
  blocks.resize(count);
  for (size_t b = 0; b < count; ++b) {
    chips[b].device = false;
    chips[b].name = "shared memory of block " + std::to_string(b);
    chips[b].resize(static_cast<size_t>(plan.chip_words + (plan.resident_bytes + 3) / 4));
    blocks[b].name = "device memory of block " + std::to_string(b);
    blocks[b].resize(static_cast<size_t>(plan.block_words));
  }
  shared.name = "device memory of the machine";
  shared.resize(static_cast<size_t>(plan.machine_words));
}

void Stage::play(const std::function<void(int)>& f) {
  const int count = launch.plan.blocks;
  for (int block = 0; block < count; ++block) {
    ready_.push_back(block);
    turns_.emplace_back(0);
  }
  std::shuffle(ready_.begin(), ready_.end(), random);
  std::vector<std::thread> threads;
  for (int block = 1; block < count; ++block)
    threads.emplace_back([this, block, &f] { act(block, f); });
  pass_on();
  act(0, f);
  for (std::thread& thread : threads) thread.join();
  if (error_) std::rethrow_exception(error_);
}

void Stage::act(int block, const std::function<void(int)>& f) {
  try {
    await(block);
    f(block);
  } catch (const Abandoned&) {
  } catch (...) {
    error_ = std::current_exception();
  }
  over_ = true;
  pass_on();
}

void Stage::meet(int block) {
  arrived_.push_back(block);
  pass_on();
  await(block);
}

// Behind the last of a round all who wait begin the next one; whoever is ready unwinds after an
// error.
void Stage::pass_on() {
  if (ready_.empty()) {
    if (!arrived_.empty() && over_ && !error_)
      error_ = std::make_exception_ptr(
          RaceError("a block waits at a barrier to which not all others come"));
    ready_.swap(arrived_);
    std::shuffle(ready_.begin(), ready_.end(), random);
  }
  if (ready_.empty()) return;
  const int next = ready_.back();
  ready_.pop_back();
  turns_[static_cast<size_t>(next)].release();
}

void Stage::await(int block) {
  turns_[static_cast<size_t>(block)].acquire();
  if (error_) throw Abandoned{};
}

Memory* SimulatedBlock::memory_of(const void* pointer) {
  for (Memory& chip : stage_.chips)
    if (chip.holds(pointer)) return &chip;
  for (Memory& block : stage_.blocks)
    if (block.holds(pointer)) return &block;
  return stage_.shared.holds(pointer) ? &stage_.shared : nullptr;
}

// An array of the caller is in no memory of the stage: nobody writes what is read there.
void SimulatedBlock::read(const void* from, bool device) {
  Memory* memory = memory_of(from);
  if (memory == nullptr) return;
  if (memory->device != device)
    throw RaceError("read: " + memory->name + " is taken for the other kind");
  const size_t at = static_cast<size_t>(static_cast<const uint32_t*>(from) - memory->values.data());
  Memory::Word& word = memory->words[at];
  if (word.write.block < 0)
    throw RaceError(core::text("read: word ", at, " of ", memory->name, " was never written"));
  if (word.write.block != rank_ ? word.write.epoch >= epoch_
                                : word.write.sync == sync_ && word.write.item != item_)
    report(*memory, at, "reads what", "wrote", word.write);
  if (word.read.epoch != epoch_) word.readers = 0;
  word.readers |= uint64_t{1} << (rank_ % 64);
  word.read = {rank_, epoch_, sync_, item_};
}

void SimulatedBlock::write(const void* to, bool device) {
  Memory* memory = memory_of(to);
  if (memory == nullptr) throw RaceError("write: outside of the memory of every block");
  if (memory->device != device)
    throw RaceError("write: " + memory->name + " is taken for the other kind");
  const size_t at = static_cast<size_t>(static_cast<const uint32_t*>(to) - memory->values.data());
  Memory::Word& word = memory->words[at];
  if (word.write.block >= 0 &&
      (word.write.block != rank_ ? word.write.epoch >= epoch_
                                 : word.write.sync == sync_ && word.write.item != item_))
    report(*memory, at, "overwrites what", "wrote", word.write);
  const uint64_t others = word.readers & ~(uint64_t{1} << (rank_ % 64));
  const bool beside = word.read.epoch >= epoch_ && others != 0;
  const bool within =
      word.read.block == rank_ && word.read.sync == sync_ && word.read.item != item_;
  if (word.read.block >= 0 && (beside || within))
    report(*memory, at, "overwrites what", "read", word.read);
  word.write = {rank_, epoch_, sync_, item_};
}

void SimulatedBlock::report(
    const Memory& memory,
    size_t word,
    const char* now,
    const char* before,
    const Memory::Access& other) const {
  std::ostringstream out;
  out << "race on word " << word << " of " << memory.name << ": ";
  describe(out, {rank_, epoch_, sync_, item_});
  out << " " << now << " ";
  describe(out, other);
  out << " " << before;
  throw RaceError(out.str());
}

unsigned long long simulate(
    const Plan& plan,
    const std::vector<std::byte>& images,
    Launch launch,
    uint64_t seed) {
  launch.plan = plan.header;
  launch.steps = plan.steps.data();
  launch.terms = plan.terms.data();
  launch.buffers = plan.buffers.data();
  launch.machines = plan.machines;
  launch.images = images.data();
  unsigned long long failure = kNoFailure;
  for (int64_t machine = 0; machine < plan.machines; ++machine) {
    if (machine * plan.header.rows >= launch.batch) break;
    Stage stage(launch, seed, machine);
    std::vector<SimulatedBlock> blocks;
    for (int rank = 0; rank < plan.header.blocks; ++rank)
      blocks.emplace_back(stage, rank, &failure);
    stage.play([&](int rank) {
      SimulatedBlock& block = blocks[static_cast<size_t>(rank)];
      block.copy_weights();
      Kernel<SimulatedBlock>(block, launch).run();
    });
  }
  return failure;
}

}  // namespace genfast::cuda
