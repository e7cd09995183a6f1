#include "ops/masked_conv2d.h"

#include <algorithm>
#include <limits>

#include "core/memory.h"
#include "cpu/dispatch.h"
#include "ops/taps.h"

namespace genfast::ops {
namespace {

using core::Aligned;

constexpr int64_t kBlockFloats = 6 << 10;    // of a panel's weights, which stay in the first cache
constexpr int64_t kPaddedFloats = 32 << 10;  // of padded rows, which stay in the second
constexpr int64_t kPanelFloats = 3 << 10;    // of a panel of gradients, in the first
constexpr int64_t kMostParts = 16;           // of the gradient by weights
constexpr int64_t kPartPixels = 1024;        // of which a part has at least as many

// Pixels, and k of a product, are counted in 32 bits.
constexpr int64_t kMost = int64_t{1} << 30;
constexpr int64_t kMostOffset = 1 << 20;

struct Image {
  int64_t count, rows, columns;
};

// Rows of an image at once.
struct Split {
  int64_t rows;
  int64_t pieces;

  Split(int64_t all, int64_t most) {
    pieces = std::max<int64_t>(1, (all + most - 1) / most);
    rows = std::max<int64_t>(1, (all + pieces - 1) / pieces);
    pieces = (all + rows - 1) / rows;
  }
};

int32_t narrow(int64_t value) { return static_cast<int32_t>(value); }

Kernel kernel_of(const MaskedConv2d& layer) {
  const float* weight = core::elements<const float>(layer.weight, "weight", {-1, -1, -1, -1});
  const std::vector<int64_t>& shape = layer.weight.shape;
  Kernel kernel;
  kernel.weight = weight;
  kernel.out = shape[0];
  kernel.in = shape[1];
  kernel.rows = shape[2];
  kernel.columns = shape[3];
  kernel.above = layer.above;
  kernel.left = layer.left;
  core::require(
      layer.weight.size() > 0 && layer.weight.size() < kMost,
      "weight must have at least 1 and below 2**30 elements, got ", core::describe(shape));
  for (const int64_t offset : {layer.above, layer.left})
    core::require(
        offset > -kMostOffset && offset < kMostOffset, "above and left must be within 2**20, got ",
        offset);
  if (layer.mask != nullptr) {
    kernel.mask =
        core::elements<const float>(*layer.mask, "mask", {-1, -1, kernel.rows, kernel.columns});
    const std::vector<int64_t>& sides = layer.mask->shape;
    for (int side = 0; side < 2; ++side)
      core::require(
          sides[side] == 1 || sides[side] == shape[side], "mask must fit weight ",
          core::describe(shape), ", got ", core::describe(sides));
    kernel.mask_of_outs = sides[0] > 1;
    kernel.mask_of_ins = sides[1] > 1;
  }
  return kernel;
}

Image image_of(const core::Tensor& input, const Kernel& kernel) {
  core::elements<const float>(input, "input", {-1, -1, -1, kernel.in});
  const Image image = {input.shape[0], input.shape[1], input.shape[2]};
  core::require(
      image.rows < kMost && image.columns < kMost && image.rows * image.columns < kMost,
      "input must have below 2**30 pixels an image, got ", core::describe(input.shape));
  return image;
}

int64_t padded_columns(const Image& image, const cpu::TapReach& reach) {
  return image.columns + reach.left + reach.right;
}

// One product: from `input` to `output`, forward or, by turned taps, back.
struct Product {
  const Kernel& kernel;
  bool transposed;
  const float* input;
  const float* bias;
  float* output;
};

void run_product(const Product& product, const Image& image, const Engine& engine) {
  const Kernel& kernel = product.kernel;
  const cpu::Kernels& kernels = cpu::kernels_for(engine.isa);
  const int64_t in = product.transposed ? kernel.out : kernel.in;
  const Panels panels = {product.transposed ? kernel.in : kernel.out, kernels.lanes};
  const int64_t longest = std::max<int64_t>(1, kBlockFloats / (in * panels.width()));
  const Taps taps = product.transposed ? turned(live_taps(kernel, kernel.columns), longest)
                                       : live_taps(kernel, longest);
  const int64_t depth = static_cast<int64_t>(taps.numbers.size()) * in;
  std::vector<int32_t> blocks;
  int64_t taps_of_block = 0;
  for (size_t run = 0; run < taps.runs.size(); ++run) {
    if (taps_of_block > 0 && taps_of_block + taps.runs[run].taps > longest) {
      blocks.push_back(narrow(static_cast<int64_t>(run)));
      taps_of_block = 0;
    }
    taps_of_block += taps.runs[run].taps;
  }
  blocks.push_back(narrow(static_cast<int64_t>(taps.runs.size())));

  Aligned<float> weights(static_cast<size_t>(panels.count() * depth * panels.width()));
  Aligned<float> bias(static_cast<size_t>(panels.count() * panels.width()));
  if (product.bias != nullptr) std::copy_n(product.bias, panels.columns, bias.data());
  share(engine.threads, panels.count(), [&](int, int64_t panel) {
    float* const packed = weights.data() + panel * depth * panels.width();
    pack_panel(kernel, taps, product.transposed, panels, panel, packed);
  });

  const int64_t line = padded_columns(image, taps.reach) * in;
  const int64_t halo = taps.reach.above + taps.reach.below;
  const Split split(image.rows, std::max({int64_t{1}, kPaddedFloats / line - halo, 2 * halo}));
  const int64_t padded = (split.rows + halo) * line;
  const int64_t edge = split.rows * image.columns * panels.width();
  Aligned<float> scratch(static_cast<size_t>(std::max(engine.threads, 1) * (padded + edge)));
  share(engine.threads, image.count * split.pieces, [&](int thread, int64_t unit) {
    const int64_t number = unit / split.pieces;
    const int64_t first = unit % split.pieces * split.rows;
    const int64_t pixels = number * image.rows * image.columns;
    cpu::ConvArgs args;
    args.input = product.input + pixels * in;
    args.output = product.output + pixels * panels.columns;
    args.weights = weights.data();
    args.bias = bias.data();
    args.runs = taps.runs.data();
    args.blocks = blocks.data();
    args.num_blocks = narrow(static_cast<int64_t>(blocks.size()));
    args.depth = narrow(depth);
    args.reach = taps.reach;
    args.rows = narrow(image.rows);
    args.columns = narrow(image.columns);
    args.in = narrow(in);
    args.out = narrow(panels.columns);
    args.row_begin = narrow(first);
    args.row_end = narrow(std::min(first + split.rows, image.rows));
    args.padded = scratch.data() + thread * (padded + edge);
    args.edge = args.padded + padded;
    kernels.masked_conv2d(args);
  });
}

struct WeightGradient {
  const Kernel& kernel;
  const float* input;
  const float* grad;
  float* weight;  // or null
  float* bias;    // or null
};

void run_weight_gradient(const WeightGradient& to, const Image& image, const Engine& engine) {
  const Kernel& kernel = to.kernel;
  const cpu::Kernels& kernels = cpu::kernels_for(engine.isa);
  const Panels panels = {kernel.out, kernels.lanes};
  const Taps taps = live_taps(kernel, kernel.columns);
  const int64_t depth = static_cast<int64_t>(taps.numbers.size()) * kernel.in;
  const Split split(
      image.rows,
      std::max<int64_t>(1, kPanelFloats / std::max<int64_t>(1, image.columns * panels.width())));
  const int64_t units = image.count * split.pieces;
  const int64_t pixels = image.count * image.rows * image.columns;
  const int64_t parts = std::clamp<int64_t>(
      pixels / kPartPixels, 1, std::min(kMostParts, std::max<int64_t>(units, 1)));
  const int64_t sums = panels.count() * depth * panels.width();
  const int64_t bias_sums = panels.count() * panels.width();
  const int64_t line = padded_columns(image, taps.reach);
  const int64_t channels = kernel.in + panels.width();  // the last panel may be part empty
  const int64_t inputs = (split.rows + taps.reach.above + taps.reach.below) * line * channels;
  const int64_t grads = split.rows * image.columns * bias_sums;
  Aligned<float> all(static_cast<size_t>(parts * (sums + bias_sums)));
  Aligned<float> scratch(static_cast<size_t>(std::max(engine.threads, 1) * (inputs + grads)));
  share(engine.threads, parts, [&](int thread, int64_t part) {
    cpu::ConvWeightArgs args;
    args.runs = taps.runs.data();
    args.num_runs = narrow(static_cast<int64_t>(taps.runs.size()));
    args.depth = narrow(depth);
    args.reach = taps.reach;
    args.rows = narrow(image.rows);
    args.columns = narrow(image.columns);
    args.in = narrow(kernel.in);
    args.out = narrow(kernel.out);
    args.sums = all.data() + part * (sums + bias_sums);
    args.bias_sums = args.sums + sums;
    args.inputs = scratch.data() + thread * (inputs + grads);
    args.grads = args.inputs + inputs;
    for (int64_t unit = part * units / parts; unit < (part + 1) * units / parts; ++unit) {
      const int64_t before = unit / split.pieces * image.rows * image.columns;
      const int64_t first = unit % split.pieces * split.rows;
      args.input = to.input + before * kernel.in;
      args.grad = to.grad + before * kernel.out;
      args.row_begin = narrow(first);
      args.row_end = narrow(std::min(first + split.rows, image.rows));
      kernels.masked_conv2d_weight(args);
    }
  });
  share(engine.threads, panels.count(), [&](int, int64_t panel) {
    const auto add_parts = [&](int64_t begin, int64_t count) {
      for (int64_t part = 1; part < parts; ++part) {
        const float* more = all.data() + part * (sums + bias_sums) + begin;
        for (int64_t i = 0; i < count; ++i) all[begin + i] += more[i];
      }
      return all.data() + begin;
    };
    const int64_t begin = panel * panels.width();
    if (to.weight != nullptr) {
      const float* sum = add_parts(begin * depth, depth * panels.floats(panel));
      const int64_t end = std::min(begin + panels.width(), kernel.out);
      std::fill(
          to.weight + begin * kernel.in * kernel.taps(),
          to.weight + end * kernel.in * kernel.taps(), 0.0f);
      unpack_panel(kernel, taps, panels, panel, sum, to.weight);
    }
    if (to.bias != nullptr)
      std::copy_n(
          add_parts(sums + begin, panels.floats(panel)),
          std::min(panels.width(), kernel.out - begin), to.bias + begin);
  });
}

}  // namespace

void masked_conv2d(
    const MaskedConv2d& layer,
    const core::Tensor& input,
    const core::Tensor* bias,
    const core::Tensor& output,
    const Engine& engine) {
  const Kernel kernel = kernel_of(layer);
  const Image image = image_of(input, kernel);
  const float* added =
      bias == nullptr ? nullptr : core::elements<const float>(*bias, "bias", {kernel.out});
  float* to =
      core::elements<float>(output, "output", {image.count, image.rows, image.columns, kernel.out});
  if (output.size() == 0) return;
  run_product({kernel, false, static_cast<const float*>(input.data), added, to}, image, engine);
}

void masked_conv2d_backward(
    const MaskedConv2d& layer,
    const core::Tensor& grad,
    const core::Tensor& input,
    const core::Tensor* by_input,
    const core::Tensor* by_weight,
    const core::Tensor* by_bias,
    const Engine& engine) {
  const Kernel kernel = kernel_of(layer);
  const Image image = image_of(input, kernel);
  const float* by_output = core::elements<const float>(
      grad, "grad", {image.count, image.rows, image.columns, kernel.out});
  const auto wanted = [](const core::Tensor* tensor, const char* name, const auto& shape) {
    return tensor == nullptr ? nullptr : core::elements<float>(*tensor, name, shape);
  };
  float* to_input = wanted(by_input, "by_input", input.shape);
  float* to_weight = wanted(by_weight, "by_weight", layer.weight.shape);
  float* to_bias = wanted(by_bias, "by_bias", std::vector<int64_t>{kernel.out});
  const float* from = static_cast<const float*>(input.data);
  if (to_input != nullptr && input.size() > 0)
    run_product({kernel, true, by_output, nullptr, to_input}, image, engine);
  if (to_weight != nullptr || to_bias != nullptr)
    run_weight_gradient({kernel, from, by_output, to_weight, to_bias}, image, engine);
}

}  // namespace genfast::ops
