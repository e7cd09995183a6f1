// Where a block computes, and where the values lie that it reads and writes there.
//
// Everything behind this header is the kernel itself. It is written over a Block, which is a block
// of a GPU (block.cuh) or one that is simulated (simulation.h), so that what tests follow on a host
// is the source that runs on a device. A Block offers
//
//   rank, blocks          its number in the machine, and how many there are
//   each(n, f), warps     f(0) .. f(n - 1) by its threads, or by its warps, in any order
//   chip, own, common     words of its shared memory, of its device memory, of its machine's
//   sync, barrier         its threads meet; the blocks of the machine meet
//   load, store, ...      every access to memory that another thread may write
//   Tile                  a product of 16 x 8, by a warp
#pragma once

#include "core/host_device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/tiles.h"

#if defined(__CUDACC__)
#define GENFAST_DEVICE __device__ __forceinline__
// Not worth its compilation in the middle of something else.
#define GENFAST_CALL __device__ __noinline__
#else
#define GENFAST_DEVICE inline
#define GENFAST_CALL inline
#endif

namespace genfast::cuda {

// Words of a lane on the chip: the row of the image that it draws, -1 for none, and the column of
// the site; of a sequence, 0 and the site, counted from the first of the launch.
struct Lane {
  int32_t y;
  int32_t x;
};

// A vector that a product reads.
struct Input {
  const float* data;
  bool device;  // whether it lies in device memory
};

// One row of the batch in one lane, at the column of a step.
struct Cell {
  bool live;
  int32_t index;  // lane * rows + row
  int32_t row;    // of the batch, counted from the first of the machine
  int32_t y;
  int32_t x;
};

template <class Block>
class Cells {
 public:
  GENFAST_DEVICE Cells(Block& block, const Launch& launch) : block(block), launch(launch) {}

  // Turns to rows of the batch `first_row` .. `first_row + count`.
  GENFAST_DEVICE void turn_to(int64_t first, int32_t count) {
    first_row = first;
    num_rows = count;
  }

  GENFAST_DEVICE int32_t count(const StepPlan& step) const {
    return step.once != 0 ? launch.plan.rows : launch.plan.rows * launch.plan.lanes;
  }

  GENFAST_DEVICE Cell cell(const StepPlan& step, int32_t index) const {
    const PlanHeader& plan = launch.plan;
    const int32_t row = index % plan.rows;
    if (step.once != 0) return {row < num_rows, index, row, 0, 0};
    const int32_t* lane = block.template chip<int32_t>(0) + index / plan.rows * 2;
    const int32_t y = block.load(lane, false);
    const int32_t x = block.load(lane + 1, false) + step.ahead;
    const bool inside = plan.raster == 0 || (x >= 0 && x < plan.image_columns);
    return {row < num_rows && y >= 0 && inside, index, row, y, x};
  }

  GENFAST_DEVICE const BufferPlan& buffer(const RefPlan& ref) const {
    return launch.buffers[ref.buffer];
  }

  GENFAST_DEVICE bool in_device_memory(const BufferPlan& at) const {
    return at.arena != Arena::kChip;
  }

  // The values of a buffer at an offset from a cell; null outside of the image.
  template <typename T>
  GENFAST_DEVICE T* values(const RefPlan& ref, const Cell& cell) const {
    const BufferPlan& at = buffer(ref);
    const PlanHeader& plan = launch.plan;
    const int32_t y = cell.y + ref.dy;
    const int32_t x = cell.x + ref.dx;
    if (at.keep == Keep::kOnce) return slot<T>(at, cell.row, cell, 0);
    if (plan.raster != 0 && (y < 0 || x < 0 || x >= plan.image_columns)) return nullptr;
    if (at.place == Place::kGiven)
      return slot<T>(at, 0, cell, plan.raster != 0 ? int64_t{y} * plan.image_columns + x : x);
    if (at.keep == Keep::kTick) return slot<T>(at, cell.index, cell, 0);
    const int32_t in_ring =
        at.keep == Keep::kRing
            ? (static_cast<int32_t>(launch.position & (at.ring - 1)) + x) & (at.ring - 1)
            : (y & (at.ring - 1)) * plan.image_columns + x;
    return slot<T>(at, in_ring * plan.rows + cell.row, cell, 0);
  }

  // Where an element of a value lies, counted from its begin.
  GENFAST_DEVICE int32_t place(const BufferPlan& at, int32_t element) const {
    if (at.place != Place::kPrivate) return element;
    return element / at.period * at.chunk + element % at.period - block.rank() * at.chunk;
  }

  GENFAST_DEVICE float value(const RefPlan& ref, const Cell& cell, int32_t element) const {
    const float* from = values<const float>(ref, cell);
    const BufferPlan& at = buffer(ref);
    return from == nullptr ? 0.0f : block.load(from + place(at, element), in_device_memory(at));
  }

  GENFAST_DEVICE int32_t symbol(const RefPlan& ref, const Cell& cell) const {
    const int32_t* from = values<const int32_t>(ref, cell);
    const BufferPlan& at = buffer(ref);
    return from == nullptr ? at.vocabulary : block.load(from, in_device_memory(at));
  }

  // Writes an element of a value at its cell: to every block that has a copy, or once.
  template <typename T>
  GENFAST_DEVICE void write(int32_t target, const Cell& cell, int32_t element, T y) const {
    const RefPlan ref{target, 0, 0};
    const BufferPlan& at = buffer(ref);
    T* to = values<T>(ref, cell) + place(at, element);
    if (at.place == Place::kShared && at.arena == Arena::kChip)
      block.store_all(to, y);
    else
      block.store(to, y, in_device_memory(at));
  }

  // A column of the arrays of the caller.
  GENFAST_DEVICE int64_t column(const Cell& cell) const {
    const PlanHeader& plan = launch.plan;
    return launch.first +
           (plan.raster != 0 ? int64_t{cell.y} * plan.image_columns + cell.x : int64_t{cell.x});
  }

  // Its place in them, in columns.
  GENFAST_DEVICE int64_t site(const Cell& cell) const {
    return (first_row + cell.row) * launch.columns + column(cell);
  }

  // Part of the image of the block's weights.
  template <typename T>
  GENFAST_DEVICE const T* weights(int64_t offset, bool on_chip) const {
    const PlanHeader& plan = launch.plan;
    if (on_chip)
      return reinterpret_cast<const T*>(block.template chip<std::byte>(plan.chip_words) + offset);
    return reinterpret_cast<const T*>(launch.images + block.rank() * plan.image_bytes + offset);
  }

  Block& block;
  const Launch& launch;
  int64_t first_row = 0;
  int32_t num_rows = 0;

 private:
  template <typename T>
  GENFAST_DEVICE T* slot(const BufferPlan& at, int64_t number, const Cell& cell, int64_t site)
      const {
    if (at.place == Place::kGiven) {
      const int64_t row = first_row + cell.row;
      const int64_t vector = at.by_site != 0 ? row * launch.columns + launch.first + site : row;
      return const_cast<T*>(static_cast<const T*>(launch.given[at.given])) + vector * at.width;
    }
    const int64_t words = at.offset + number * at.stride;
    if (at.arena == Arena::kChip) return block.template chip<T>(words);
    return at.arena == Arena::kBlock ? block.template own<T>(words)
                                     : block.template common<T>(words);
  }
};

}  // namespace genfast::cuda
