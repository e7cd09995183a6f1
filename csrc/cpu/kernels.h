// What a kernel is asked to do, as plain structs, and the table of kernels that one instruction set
// offers.
//
// Every instruction set compiles the same sources in a namespace of its own (isa_*.cpp), so this
// header, which all of them see, declares data and function pointers only: an inline function here
// could be compiled with AVX-512 and be the copy that the linker keeps for everyone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cpu/masked_conv2d_args.h"
#include "cpu/reparameterize_args.h"

namespace genfast::cpu {

inline constexpr int kMaxStates = 2;
inline constexpr int kMaxChannels = 16;  // symbols of a draw
inline constexpr int kDrawScratchRows =
    10;  // of as many floats as there are classes, or components, rounded up to 16

enum class Epilogue : int32_t { kNone, kRelu, kTanh, kSigmoid, kGate, kLstm, kGru };

// Rows of an image that a kernel computes at once: those in flight.
inline constexpr int kMaxFlight = 4;

// Where a kernel computes: column `column` of a row in flight; a sequence has (0, 0) only.
struct Position {
  int32_t flight;
  int32_t column;
};

struct Positions {
  const Position* data;
  int32_t count;
};

// Where a batch's values lie: of row f in flight, those of row r of the batch at column x start
// `place` strides behind data[f], place being r for a buffer of one slot and x * batch + r for one
// that has a slot a column.
enum Places : int32_t { kOneSlot, kColumns };

// Vectors that are read.
struct Rows {
  int64_t stride;
  Places places;
  const float* data[kMaxFlight];
};

// Vectors that are written, whole vectors of them.
struct Target {
  int64_t stride;
  Places places;
  float* data[kMaxFlight];
};

// One term of a sum. A chain is bias, then the terms in order; all of it stays in registers.
struct Term {
  enum Kind : int32_t { kMat, kLook, kAdd } kind;
  int32_t width;                       // kMat: k, the values of `input` used
  const float* table;                  // kLook: [vocabulary + 1][packed width], in packed order
  Rows input;                          // kMat, kAdd; of kLook: the places of its symbols
  const int32_t* symbols[kMaxFlight];  // kLook
};

// Packed order of the pre-activations: groups of `lanes` units; in a group the gates one after the
// other, a vector each. A panel is `vectors` consecutive vectors; its weights lie as [k of all
// matrix terms][vectors * lanes].
struct SumArgs {
  Epilogue epilogue;
  int32_t units;
  int32_t vectors;       // of a panel
  int32_t last_vectors;  // of the last panel
  int32_t panels;
  int32_t depth;  // k of all matrix terms together
  const float* weights;
  const float* bias;     // packed order, never null
  int64_t packed_width;  // floats a packed row of a table
  const Term* terms;
  int32_t num_terms;
  Rows states[kMaxStates];  // lstm: c'; gru: rec, h'
  Target target;            // h or y
  Target cell;              // lstm: c
  // Behind epilogue none, if `relus`: max(0, 0 + y), what the sum relu(y) that follows would write.
  Target relu;
  bool relus;
  int32_t batch;  // rows of a slot
  int32_t row_begin, row_end;
  int32_t panel_begin, panel_end;
  bool reverse;  // panels from the last to the first: what the sweep before left in the cache is
                 // met first
};

enum class DrawError : int32_t { kNone, kNotANumber, kInfinite, kNothingLeft, kNotFinite };

struct DrawArgs {
  const float* scores;  // row r at scores + r * scores_stride
  int64_t scores_stride;
  int32_t classes;
  int32_t mixtures;       // components of a mixture; `classes` are the levels of each channel
  int32_t channels;       // symbols of a draw: uniforms, forced and values of a row stand together
  const float* uniforms;  // row r at uniforms + r * uniforms_stride
  int64_t uniforms_stride;
  const int64_t* forced;  // null, or -1 where the row draws
  int64_t forced_stride;
  const float* temperature;        // one a row
  const int64_t* top_k;            // 0: off
  const float* top_p;              // 1: off
  int32_t* symbols[kMaxChannels];  // of each channel, one a row
  int64_t* values;
  int64_t values_stride;
  float* log_probs;  // null: not asked for
  int64_t log_probs_stride;
  int32_t row_begin, row_end;
  float* scratch;  // kDrawScratchRows rows of classes
  // out
  int32_t error_row;
  DrawError error;
};

struct Kernels {
  const char* name;
  int32_t lanes;
  // Each of `count` sums in turn, at all positions.
  void (*sums)(const SumArgs* sums, int32_t count, Positions at);
  void (*draw_categorical)(DrawArgs&);
  void (*draw_logistic_mixture)(DrawArgs&);
  // Uniforms `first .. first + count` of sample `index` under `seed`.
  void (*uniforms)(uint64_t seed, uint32_t index, uint64_t first, int64_t count, float* out);
  void (*exp)(const float* x, float* y, int64_t n);
  void (*log)(const float* x, float* y, int64_t n);
  void (*tanh)(const float* x, float* y, int64_t n);
  void (*sigmoid)(const float* x, float* y, int64_t n);
  void (*masked_conv2d)(const ConvArgs&);
  void (*masked_conv2d_weight)(const ConvWeightArgs&);
  void (*normals)(const NormalsArgs&);
  void (*reparameterize)(ReparameterizeArgs&);
  void (*reparameterize_backward)(const ReparameterizeBackwardArgs&);
  // Ceilings: runs `rounds` rounds of independent multiply-adds in registers and returns how many
  // multiply-adds that was; reads `floats` floats (a multiple of 64 vectors' worth is used) and
  // returns their sum; adds two arrays of whole vectors.
  int64_t (*multiply_adds)(int64_t rounds, float* sink);
  float (*read)(const float* data, int64_t floats);
  void (*add)(const float* a, const float* b, float* c, int64_t floats);
};

extern const Kernels kBaselineKernels;
#if defined(GENFAST_X86_LEVELS)
extern const Kernels kV3Kernels;
extern const Kernels kV4Kernels;
#endif

}  // namespace genfast::cpu
