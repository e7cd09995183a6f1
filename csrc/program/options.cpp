#include "program/options.h"

#include <cmath>

namespace genfast::program {

using core::elements;
using core::require;

Options checked_options(
    const Program& program,
    int64_t batch,
    const core::Tensor& temperature,
    const core::Tensor& top_k,
    const core::Tensor& top_p) {
  const Options options{
      elements<const float>(temperature, "temperature", {batch}),
      elements<const int64_t>(top_k, "top_k", {batch}),
      elements<const float>(top_p, "top_p", {batch})};
  bool mixture = false;
  for (const Instruction& draw : program.instructions())
    mixture = mixture || draw.head == Head::kLogisticMixture;
  for (int64_t row = 0; row < batch; ++row) {
    const float t = options.temperature[row];
    const int64_t k = options.top_k[row];
    const float p = options.top_p[row];
    require(
        t >= 0.0f && std::isfinite(t), "temperature must be finite and at least 0, got ", t,
        " in row ", row);
    require(k >= 0, "top_k must be at least 1, or 0 for off, got ", k, " in row ", row);
    require(p > 0.0f && p <= 1.0f, "top_p must be in (0, 1], got ", p, " in row ", row);
    require(
        !mixture || (k == 0 && p == 1.0f),
        "top_k and top_p must be off for a mixture, which has no classes, got ", k, " and ", p,
        " in row ", row);
  }
  return options;
}

}  // namespace genfast::program
