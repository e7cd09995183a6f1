#include "cpu/packing.h"

namespace genfast::cpu {
namespace {

// What a tile's weights may take of the first-level cache: all tiles of a panel meet them.
constexpr int64_t kPanelBytes = 20 << 10;

// Vectors of a panel: whole groups, four where there are many (a tile of 6 x 4 fills the
// registers).
int panel_vectors(int gates, int vectors) {
  if (gates == 3) return 3;
  if (gates > 1) return gates == 2 && vectors == 2 ? 2 : 4;
  // A small sum, a readout say, is cut in two, so that two threads have a share each.
  return vectors <= 4 ? (vectors + 1) / 2 : vectors == 5 ? 3 : 4;
}

// The same for a raster, whose threads share rows only; depth: k of all matrix terms.
int raster_panel_vectors(int gates, int vectors, int64_t depth, int lanes) {
  const int64_t bytes = depth * 4 * lanes * static_cast<int64_t>(sizeof(float));
  if (gates <= 2 && vectors > 2 && (lanes < 16 || bytes > kPanelBytes)) return 2;
  if (gates > 1) return panel_vectors(gates, vectors);
  const int panels = (vectors + 3) / 4;
  return (vectors + panels - 1) / panels;
}

// Where pre-activation `index` (gate by gate) stands in packed order.
struct Order {
  int units;
  int gates;
  int lanes;

  int64_t operator()(int64_t index) const {
    const int64_t gate = index / units;
    const int64_t unit = index % units;
    return (unit / lanes * gates + gate) * lanes + unit % lanes;
  }
};

core::Aligned<float> pack_row(
    const float* row,
    int64_t out,
    int64_t packed_width,
    const Order& order) {
  core::Aligned<float> packed(static_cast<size_t>(packed_width));
  if (row != nullptr)
    for (int64_t i = 0; i < out; ++i) packed[static_cast<size_t>(order(i))] = row[i];
  return packed;
}

// Rows of a table, or of a transposed matrix, to panels: out[panel][k][column of the panel].
void pack_matrix(
    const program::Term& term,
    int64_t out,
    int64_t first_k,
    const PackedSum& shape,
    const Order& order,
    int lanes,
    float* packed) {
  const int64_t width = static_cast<int64_t>(term.weights.size()) / out;
  const int64_t panel_width = static_cast<int64_t>(shape.vectors) * lanes;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t panel = order(i) / panel_width;
    const int64_t column = order(i) % panel_width;
    const int64_t row_width =
        static_cast<int64_t>(panel + 1 == shape.panels ? shape.last_vectors : shape.vectors) *
        lanes;
    float* to = packed + panel * shape.depth * panel_width + first_k * row_width + column;
    for (int64_t k = 0; k < width; ++k)
      to[k * row_width] = term.weights[static_cast<size_t>(i * width + k)];
  }
}

core::Aligned<float> pack_table(
    const program::Term& term,
    int64_t out,
    int64_t packed_width,
    const Order& order) {
  const int64_t rows = static_cast<int64_t>(term.weights.size()) / out;
  core::Aligned<float> packed(static_cast<size_t>(rows * packed_width));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < out; ++i)
      packed[static_cast<size_t>(r * packed_width + order(i))] =
          term.weights[static_cast<size_t>(r * out + i)];
  return packed;
}

}  // namespace

size_t PackedSum::bytes() const {
  size_t total = weights.bytes() + bias.bytes();
  for (const core::Aligned<float>& table : tables) total += table.bytes();
  return total;
}

PackedSum pack(const program::Program& program, const program::Instruction& sum, int lanes) {
  const int gates = gates_of(sum.epilogue);
  PackedSum packed{};
  packed.units = static_cast<int32_t>(program.buffers()[static_cast<size_t>(sum.targets[0])].width);
  const int groups = (packed.units + lanes - 1) / lanes;
  const int vectors = groups * gates;
  const int64_t out = static_cast<int64_t>(packed.units) * gates;
  for (const program::Term& term : sum.terms)
    if (term.kind == program::TermKind::kMat)
      packed.depth += static_cast<int32_t>(static_cast<int64_t>(term.weights.size()) / out);
  packed.vectors = program.order() == program::Order::kRaster
                       ? raster_panel_vectors(gates, vectors, packed.depth, lanes)
                       : panel_vectors(gates, vectors);
  packed.panels = (vectors + packed.vectors - 1) / packed.vectors;
  packed.last_vectors = vectors - (packed.panels - 1) * packed.vectors;
  packed.packed_width = static_cast<int64_t>(vectors) * lanes;
  const Order order{packed.units, gates, lanes};
  packed.weights = core::Aligned<float>(static_cast<size_t>(packed.depth * packed.packed_width));
  packed.bias =
      pack_row(sum.bias.empty() ? nullptr : sum.bias.data(), out, packed.packed_width, order);
  int64_t k = 0;
  for (const program::Term& term : sum.terms) {
    packed.tables.emplace_back();
    if (term.kind == program::TermKind::kLook)
      packed.tables.back() = pack_table(term, out, packed.packed_width, order);
    if (term.kind != program::TermKind::kMat) continue;
    pack_matrix(term, out, k, packed, order, lanes, packed.weights.data());
    k += static_cast<int64_t>(term.weights.size()) / out;
  }
  return packed;
}

}  // namespace genfast::cpu
