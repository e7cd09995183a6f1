// One block of a simulated GPU: what cells.h asks of a Block, with every access to memory watched.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <random>
#include <semaphore>
#include <string>
#include <vector>

#include "cuda/kernel/tiles.h"
#include "cuda/simulation/simulation.h"

namespace genfast::cuda {

// Words of memory, and of each who touched it last.
struct Memory {
  struct Access {
    int32_t block = -1;
    int64_t epoch = -1;  // barriers that the block had passed
    int64_t sync = -1;   // meetings of its threads
    int64_t item = -1;   // thread, as it were
  };
  struct Word {
    Access write;
    Access read;
    uint64_t readers = 0;  // blocks that read it in the epoch of `read`
  };

  std::string name;
  bool device = true;
  std::vector<uint32_t> values;
  std::vector<Word> words;

  void resize(size_t count) {
    values.assign(count, 0x7FC00000u);  // NaN
    words.assign(count, {});
  }
  bool holds(const void* pointer) const {
    const auto at = reinterpret_cast<uintptr_t>(pointer);
    const auto begin = reinterpret_cast<uintptr_t>(values.data());
    return at >= begin && at < begin + 4 * values.size();
  }
};

// What the blocks of one machine share: their memories, and whose turn it is.
class Stage {
 public:
  Stage(const Launch& launch, uint64_t seed, int64_t machine);

  // Runs f(rank) for every block, in turns; rethrows what one of them throws.
  void play(const std::function<void(int)>& f);
  // Gives the turn away until every block has come here.
  void meet(int block);

  const Launch& launch;
  int64_t machine;
  std::vector<Memory> chips;
  std::vector<Memory> blocks;
  Memory shared;
  std::mt19937_64 random;

 private:
  void pass_on();
  void await(int block);
  void act(int block, const std::function<void(int)>& f);

  // What follows belongs to the block whose turn it is.
  std::deque<std::binary_semaphore> turns_;  // of each block
  std::vector<int> ready_;                   // whose turn is still to come before the next barrier
  std::vector<int> arrived_;                 // who waits there
  bool over_ = false;                        // a block has come to its end
  std::exception_ptr error_;
};

class SimulatedBlock {
 public:
  SimulatedBlock(Stage& stage, int rank, unsigned long long* failure)
      : stage_(stage), rank_(rank), failure_(failure), random_(stage.random()) {}

  int32_t rank() const { return rank_; }
  int32_t blocks() const { return stage_.launch.plan.blocks; }
  int64_t machine() const { return stage_.machine; }

  template <typename T>
  T* chip(int64_t words) {
    return reinterpret_cast<T*>(stage_.chips[static_cast<size_t>(rank_)].values.data() + words);
  }

  template <typename T>
  T* own(int64_t words) {
    return reinterpret_cast<T*>(stage_.blocks[static_cast<size_t>(rank_)].values.data() + words);
  }
  template <typename T>
  T* common(int64_t words) {
    return reinterpret_cast<T*>(stage_.shared.values.data() + words);
  }

  template <typename F>
  void each(int32_t count, F f) {
    std::vector<int32_t> order(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
    std::shuffle(order.begin(), order.end(), random_);
    for (const int32_t i : order) {
      item_ = first_item_ + i;
      f(i);
    }
    first_item_ += count;
    item_ = -1;
  }

  template <typename F>
  void warps(int32_t count, F f) {
    each(count, f);
  }

  void sync() { ++sync_; }
  void barrier() {
    sync();
    if (blocks() > 1) stage_.meet(rank_);
    ++epoch_;
  }

  template <typename T>
  T load(const T* from, bool device) {
    static_assert(sizeof(T) == 4);
    read(from, device);
    return *from;
  }
  void load4(const float* from, bool device, float (&to)[4]) {
    if (reinterpret_cast<uintptr_t>(from) % 16 != 0) throw RaceError("load4: not aligned");
    for (int i = 0; i < 4; ++i) to[i] = load(from + i, device);
  }
  float load_weight(const float* from, bool) { return *from; }
  void load_weights(const float* from, bool, float (&to)[4]) { std::copy_n(from, 4, to); }

  template <typename T>
  void store(T* to, T value, bool device) {
    write(to, device);
    *to = value;
  }
  template <typename T>
  void store_all(T* to, T value) {
    const auto word = reinterpret_cast<uint32_t*>(to) - chip<uint32_t>(0);
    for (Memory& chip : stage_.chips) {
      T* const copy = reinterpret_cast<T*>(chip.values.data() + word);
      write(copy, false);
      *copy = value;
    }
  }

  // The first pieces of the block's image, as a launch copies them.
  void copy_weights() {
    const PlanHeader& plan = stage_.launch.plan;
    std::copy_n(
        stage_.launch.images + rank_ * plan.image_bytes, plan.resident_bytes,
        chip<std::byte>(plan.chip_words));
  }

  void fail(unsigned long long failure) { *failure_ = std::min(*failure_, failure); }

  // A product of 16 rows, or 8, by 16 cells, bfloat16 by bfloat16; what is read is the sum of two
  // of them.
  class Tile {
   public:
    Tile(SimulatedBlock& block, bool whole, int32_t cells) : block_(block), cells_(cells) {
      one_.depth = 1;
      one_.rows = whole ? kTileRows : kHalfTileRows;
    }

    template <typename F>
    void point(F input, int32_t width, bool) {
      width_ = width;
      for (int32_t c = 0; c < cells_; ++c) inputs_[c] = input(c);
    }

    void multiply(const uint16_t* weights, bool, int32_t first) {
      for (int32_t c = 0; c < cells_; ++c)
        for (int32_t k = 0; k < kTileDepth && first + k < width_; ++k) {
          const float x = block_.load(inputs_[c].data + first + k, inputs_[c].device);
          const Halves halves = halves_of(x);
          const float high = from_bfloat16(halves.high);
          const float low = from_bfloat16(halves.low);
          for (int32_t row = 0; row < one_.rows; ++row) {
            const float w = from_bfloat16(weights[tile_place(one_, 0, row, k)]);
            high_[row][c] += w * high;
            low_[row][c] += w * low;
          }
        }
    }

    void store(float* to, int32_t cell_stride) {
      for (int32_t c = 0; c < cells_; ++c)
        for (int32_t row = 0; row < one_.rows; ++row)
          block_.store(to + c * cell_stride + row, high_[row][c] + low_[row][c], false);
    }

   private:
    SimulatedBlock& block_;
    StepPlan one_{};
    int32_t cells_;
    Input inputs_[kTileCells];
    int32_t width_ = 0;
    float high_[kTileRows][kTileCells] = {};
    float low_[kTileRows][kTileCells] = {};
  };

 private:
  Memory* memory_of(const void* pointer);
  void read(const void* from, bool device);
  void write(const void* to, bool device);
  [[noreturn]] void report(
      const Memory& memory,
      size_t word,
      const char* now,
      const char* before,
      const Memory::Access& other) const;

  Stage& stage_;
  int32_t rank_;
  unsigned long long* failure_;
  std::mt19937_64 random_;
  int64_t epoch_ = 0;
  int64_t sync_ = 0;
  int64_t item_ = -1;
  int64_t first_item_ = 0;
};

}  // namespace genfast::cuda
