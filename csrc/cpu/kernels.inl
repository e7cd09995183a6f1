// Everything that one instruction set compiles; isa_*.cpp names its namespace and level, then
// includes this.
#include "core/threefry.h"
#include "cpu/categorical.h"
#include "cpu/ceilings.h"
#include "cpu/masked_conv2d.h"
#include "cpu/masked_conv2d_weight.h"
#include "cpu/mixture.h"
#include "cpu/reparameterize.h"
#include "cpu/sum.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

static void fill_uniforms(
    uint64_t seed,
    uint32_t index,
    uint64_t first,
    int64_t count,
    float* out) {
  int64_t i = 0;
  if (first % 2 == 1 && count > 0) out[i++] = core::uniform(seed, index, first);
  const uint64_t block = (first + static_cast<uint64_t>(i)) / 2;
  const int64_t blocks = (count - i) / 2;
  const uint32_t low = static_cast<uint32_t>(seed);
  const uint32_t high = static_cast<uint32_t>(seed >> 32);
  float* pairs = out + i;
  for (int64_t b = 0; b < blocks; ++b) {
    const core::Words words =
        core::threefry2x32(low, high, index, static_cast<uint32_t>(block + b));
    pairs[2 * b] = core::uniform(words.first);
    pairs[2 * b + 1] = core::uniform(words.second);
  }
  i += 2 * blocks;
  if (i < count) out[i] = core::uniform(seed, index, first + i);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE

#define GENFAST_KERNELS(name)                                  \
  {name,                                                       \
   GENFAST_ISA_NAMESPACE::kLanes,                              \
   GENFAST_ISA_NAMESPACE::sums,                                \
   GENFAST_ISA_NAMESPACE::draw_categorical,                    \
   GENFAST_ISA_NAMESPACE::draw_logistic_mixture,               \
   GENFAST_ISA_NAMESPACE::fill_uniforms,                       \
   GENFAST_ISA_NAMESPACE::map<GENFAST_ISA_NAMESPACE::exp>,     \
   GENFAST_ISA_NAMESPACE::map<GENFAST_ISA_NAMESPACE::log>,     \
   GENFAST_ISA_NAMESPACE::map<GENFAST_ISA_NAMESPACE::tanh>,    \
   GENFAST_ISA_NAMESPACE::map<GENFAST_ISA_NAMESPACE::sigmoid>, \
   GENFAST_ISA_NAMESPACE::masked_conv2d,                       \
   GENFAST_ISA_NAMESPACE::masked_conv2d_weight,                \
   GENFAST_ISA_NAMESPACE::normals,                             \
   GENFAST_ISA_NAMESPACE::reparameterize,                      \
   GENFAST_ISA_NAMESPACE::reparameterize_backward,             \
   GENFAST_ISA_NAMESPACE::multiply_adds,                       \
   GENFAST_ISA_NAMESPACE::read_floats,                         \
   GENFAST_ISA_NAMESPACE::add_floats}
