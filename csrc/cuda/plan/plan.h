// What runs where when blocks of a GPU draw: a program turned into steps, its values given places.
//
//   machine   the blocks that draw some rows of the batch together: a cluster, whose blocks write
//             into each other's shared memory, or the whole grid, which meets in device memory
//   lane      a row of an image in flight, `skew` columns behind the one above; a sequence has one
//   cell      a row of the batch in a lane: a step computes all cells of its machine at once
//   tick      every step once: a site of a sequence, or one of each row in flight
//   image     the packed weights of one block, as they lie in device memory
//
// Plain structs, which the kernel reads as they lie. planner.h makes them.
#pragma once

#include <cstdint>

namespace genfast::cuda {

inline constexpr int kMostTargets = 16;  // symbols of a draw
inline constexpr int kMostGates = 4;     // pre-activations of a unit
inline constexpr int kTileRows = 16;     // pre-activations of a tensor-core tile,
inline constexpr int kHalfTileRows = 8;  // or of the last one of a block,
inline constexpr int kTileCells = 16;    // its cells
inline constexpr int kTileDepth = 16;    // and its k
inline constexpr int kDotRows = 4;       // pre-activations that lie side by side in float32,
inline constexpr int kDotLanes = 8;      // threads that share the k of one,
inline constexpr int kDotCells = 4;      // cells that one of them sums at once
inline constexpr int kDotDepth = 4 * kDotLanes;
inline constexpr int kSegments = 32;  // of the classes of a draw, summed side by side

enum class Precision : int32_t { kFloat32, kBFloat16 };  // of the weights of products

enum class Place : int32_t {
  kPrivate,   // each block keeps the units that it defines
  kShared,    // whole for all blocks: on chip each block writes its units to every block
  kRepeated,  // every block computes all of it
  kGiven      // an array of the caller
};

enum class Keep : int32_t {
  kOnce,  // known from the start: a slot a row of the batch
  kTick,  // read at the tick that writes it: a slot a cell
  kRing,  // of a sequence: the last `ring` sites
  kRows   // of an image: the last `ring` rows, a slot a column
};

// Memory: shared memory of a block, device memory of a block, device memory of a machine.
enum class Arena : int32_t { kChip, kBlock, kMachine };

struct BufferPlan {
  Place place;
  Keep keep;
  Arena arena;
  int32_t symbol;  // int32 elements, else float
  int32_t width;
  int32_t vocabulary;  // of a symbol: what stands outside
  int32_t ring;        // slots or rows, a power of two
  int32_t stride;      // elements from a slot to the next
  int32_t period;   // kPrivate: element e = q * period + u lies at q * chunk + u - begin, the block
  int32_t chunk;    //       owning units begin .. begin + chunk of every period
  int32_t given;    // kGiven: its number among the arrays of the caller
  int32_t by_site;  // kGiven: one row a site, else one a row of the batch
  int64_t offset;   // elements from the begin of its arena
  int64_t saved;    // kRing: elements of a row of the batch before it, in what outlives a launch
};

struct RefPlan {
  int32_t buffer;
  int32_t dy;
  int32_t dx;
};

enum class TermPlanKind : int32_t { kMat, kLook, kAdd };

struct TermPlan {
  TermPlanKind kind;
  RefPlan ref;
  int32_t width;    // kMat: k
  int32_t depth;    // kMat: tiles of k
  int32_t on_chip;  // kLook: whether the table was copied to shared memory
  int64_t table;    // kLook: [vocabulary + 1][rows] floats, bytes from the begin of the image
};

enum class StepOp : int32_t { kSum, kCategorical, kLogisticMixture };
enum class StepEpilogue : int32_t { kNone, kRelu, kTanh, kSigmoid, kGate, kLstm, kGru };

struct StepPlan {
  StepOp op;
  StepEpilogue epilogue;
  int32_t instruction;  // of the program
  int32_t once;         // whether it runs before the first tick
  int32_t barrier;      // whether the blocks of a machine meet before it
  int32_t ahead;        // columns that it is ahead of the site of its lane
  int32_t first_term;
  int32_t num_terms;
  int32_t num_targets;
  int32_t targets[kMostTargets];
  RefPlan states[2];
  // A sum: units of the whole, dealt by `period` and `chunk` as its targets are.
  int32_t units;
  int32_t gates;
  int32_t repeated;  // every block defines all of them
  int32_t period;
  int32_t chunk;
  int32_t block_units;  // units / period * chunk
  int32_t rows;         // pre-activations of a block, unit by unit, rounded up to a half tile
  int32_t depth;        // tiles of k of all its products; 0: none
  int32_t parts;        // sums of shares of k, added in order
  int32_t part_stride;  // floats from a part to the next
  int32_t at_once;      // cells for which there is room
  int32_t weights_on_chip;
  int32_t bias_on_chip;
  int64_t weights;  // bytes from the begin of the image
  int64_t bias;     // floats of every row, bytes from the begin; -1: none
  // A draw.
  RefPlan scores;
  int32_t classes;  // of each symbol
  int32_t choices;  // classes, or components
  int32_t number;   // among the draws of a site
  int32_t first_uniform;
  int32_t first_value;
};

// The whole, as the kernel is given it.
struct PlanHeader {
  Precision precision;
  int32_t blocks;  // of a machine
  int32_t grid;    // the machine is the whole grid
  int32_t rows;    // of the batch that a machine draws at once
  int32_t raster;
  int32_t lanes;
  int32_t image_rows;
  int32_t image_columns;
  int32_t most_ahead;  // columns before a row's first site at which its first step begins
  int32_t skew;        // ticks between a row's first site and that of the next
  int32_t period;      // ticks from a lane's row to its next one
  int32_t draws;       // of a site,
  int32_t uniforms;    // what they own,
  int32_t values;      // and what they give
  int32_t parameters;  // of each draw, where all have as many
  int32_t num_buffers;
  int32_t num_steps;
  int32_t num_terms;
  int32_t once_steps;  // how many of the steps run before the first tick
  // Shared memory of a block, in words of four bytes: lanes, zeros, room for the parts of sums and
  // for draws, values, weights.
  int64_t zeros;
  int64_t zeros_words;
  int64_t parts;
  int64_t draw;        // in device memory of the block if not draw_on_chip
  int64_t draw_words;  // of one cell
  int32_t draw_on_chip;
  int32_t draw_at_once;
  int64_t chip_words;   // all of it but the weights
  int64_t saved_words;  // of a row of the batch: what outlives a launch
  int64_t image_bytes;  // of a block, of which the first `resident_bytes` are copied to the chip
  int64_t resident_bytes;
  int64_t block_words;    // device memory of a block
  int64_t machine_words;  // and of a machine
};

}  // namespace genfast::cuda
