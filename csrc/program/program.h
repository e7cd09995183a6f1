// The flat program: buffers and instructions, with their weights, checked when they are added.
//
//   order    sequence (columns only, endless) or raster (rows x columns)
//   buffer   a named vector, or a symbol, that one instruction writes once a site
//   ref      (buffer, dy, dx): the value dy rows and dx columns away
//   phases   start (once), row (for every column of a row, ahead of it), site
//
// Weights are copied: a program does not change when a model trains on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace genfast::program {

enum class Order { kSequence, kRaster };
enum class Kind { kF32, kSym };
enum class Phase { kStart, kRow, kSite };
enum class TermKind { kMat, kLook, kAdd };
enum class Epilogue { kNone, kRelu, kTanh, kSigmoid, kGate, kLstm, kGru };

// Pre-activations that an epilogue takes for one unit.
int gates_of(Epilogue epilogue);

struct Buffer {
  std::string name;
  int64_t width;
  Kind kind;
  int64_t vocabulary;  // symbols; the number itself is the border
  int writer = -1;     // its instruction
};

struct Ref {
  int buffer;
  int dy;
  int dx;
};

struct Term {
  TermKind kind;
  Ref ref;
  std::vector<float> weights;  // mat: [out][in]; look: [vocabulary + 1][out]; add: none
};

enum class Op { kInput, kSum, kDraw };

// categorical        one target; scores are a score of each of its symbols
// logistic mixture   the channels of a pixel, targets of one vocabulary; scores are [K] logits,
//                    [C][K] means, [C][K] log-scales, [C(C-1)/2][K] couplings
enum class Head { kCategorical, kLogisticMixture };

inline constexpr int64_t kMostChannels = 16;

// Parameters of one component of a mixture.
constexpr int64_t mixture_parameters(int64_t channels) {
  return 1 + 2 * channels + channels * (channels - 1) / 2;
}

struct Instruction {
  Op op;
  Phase phase;
  std::vector<int> targets;  // lstm: h, c
  Epilogue epilogue = Epilogue::kNone;
  std::vector<float> bias = {};  // [out], or empty
  std::vector<Term> terms = {};
  std::vector<Ref> states = {};  // lstm: c'; gru: rec, h'
  Ref scores{};                  // draw, and what follows
  Head head = Head::kCategorical;
  int64_t choices = 0;  // classes, or components: what its first uniform chooses among
  // Which of the site's draws it is, and where its uniforms and values begin among those of a site.
  int64_t number = 0;
  int64_t first_uniform = 0;
  int64_t first_value = 0;

  // Every value it reads.
  std::vector<Ref> refs() const;
};

class Program {
 public:
  Program(Order order, int64_t rows, int64_t columns);

  int add_buffer(Buffer buffer);
  void add_input(int target, Phase phase);
  void add_sum(
      Phase phase,
      const std::vector<int>& targets,
      Epilogue epilogue,
      const core::Tensor* bias,
      std::vector<TermKind> kinds,
      const std::vector<const core::Tensor*>& weights,
      const std::vector<Ref>& refs,
      const std::vector<Ref>& states);
  void add_draw(Phase phase, const std::vector<int>& targets, Head head, Ref scores);

  // The whole: every buffer written, nothing read before it is written. After it the program does
  // not change.
  void finish();

  Order order() const { return order_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  bool finished() const { return finished_; }
  // Of a site: draws, the uniforms that they own, the values that they give.
  int64_t draws() const { return draws_; }
  int64_t uniforms() const { return uniforms_; }
  int64_t values() const { return values_; }
  const std::vector<Buffer>& buffers() const { return buffers_; }
  const std::vector<Instruction>& instructions() const { return instructions_; }
  int64_t weight_bytes() const;
  int64_t multiply_adds() const;

 private:
  std::string context() const;
  std::string name(const Ref& ref) const;
  void check_ref(const Ref& ref) const;
  void check_width(const char* what, int64_t expected, int64_t got) const;
  void check_states(const Instruction& instruction) const;
  void check_mixture(const std::vector<int>& targets, const Buffer& scores) const;
  void check_known(int index, const Ref& ref) const;
  std::vector<float> take(
      const core::Tensor& tensor,
      const char* what,
      const std::vector<int64_t>& shape) const;
  void append(Instruction instruction);

  Order order_;
  int64_t rows_;
  int64_t columns_;
  bool finished_ = false;
  int64_t draws_ = 0;
  int64_t uniforms_ = 0;
  int64_t values_ = 0;
  std::vector<Buffer> buffers_;
  std::vector<Instruction> instructions_;
};

}  // namespace genfast::program
