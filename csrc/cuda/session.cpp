#include "cuda/session.h"

#include <algorithm>
#include <cstring>

#include "program/options.h"

namespace genfast::cuda {

using core::elements;
using core::require;

namespace {

// Sites of a sequence between two questions whether the caller was interrupted.
constexpr int64_t kChunk = 4096;

template <typename T>
size_t bytes_of(const std::vector<T>& values) {
  return values.size() * sizeof(T);
}

}  // namespace

Session::Session(std::shared_ptr<const Executor> executor, int64_t batch)
    : executor_(std::move(executor)) {
  require(
      batch > 0 && batch < (int64_t{1} << 31), "Session: batch must be in [1, 2**31), got ", batch);
  prepare(batch);
}

// A machine for a batch, at its borders, with options that bend nothing.
void Session::prepare(int64_t batch) {
  batch_ = batch;
  saved_.reset();
  given_pointers_.reset();
  given_before_.clear();
  machine_ = executor_->machine(batch);
  keep(borders());
  const auto rows = static_cast<size_t>(batch);
  options_ = {};
  bend(std::vector(rows, 1.0f), std::vector(rows, int64_t{0}), std::vector(rows, 1.0f));
  const auto count = static_cast<size_t>(std::count_if(
      plan().buffers.begin(), plan().buffers.end(),
      [](const BufferPlan& buffer) { return buffer.place == Place::kGiven; }));
  given_.assign(count, nullptr);
  inputs_.clear();
  inputs_.resize(count);
  launch_ = {};
}

std::unique_ptr<Storage> Session::stored(const void* from, size_t bytes) {
  std::unique_ptr<Storage> storage = machine_->storage(std::max<size_t>(bytes, 4));
  if (bytes > 0) storage->upload(from, bytes);
  return storage;
}

void Session::options(
    const core::Tensor& temperature,
    const core::Tensor& top_k,
    const core::Tensor& top_p) {
  const core::Busy busy(busy_);
  const program::Options options =
      program::checked_options(executor_->program(), batch_, temperature, top_k, top_p);
  bend(
      {options.temperature, options.temperature + batch_}, {options.top_k, options.top_k + batch_},
      {options.top_p, options.top_p + batch_});
}

// Options of every row, here and where the machine computes.
void Session::bend(
    std::vector<float> temperature,
    std::vector<int64_t> top_k,
    std::vector<float> top_p) {
  temperature_ = std::move(temperature);
  top_k_ = std::move(top_k);
  top_p_ = std::move(top_p);
  keep(temperature_.data(), bytes_of(temperature_), &options_[0]);
  keep(top_k_.data(), bytes_of(top_k_), &options_[1]);
  keep(top_p_.data(), bytes_of(top_p_), &options_[2]);
}

const program::Instruction& Session::input_of(int buffer, program::Phase phase, const char* what)
    const {
  const program::Program& program = executor_->program();
  require(
      buffer >= 0 && buffer < static_cast<int>(program.buffers().size()), what, ": no buffer ",
      buffer);
  const program::Buffer& target = program.buffers()[static_cast<size_t>(buffer)];
  const program::Instruction& writer = program.instructions()[static_cast<size_t>(target.writer)];
  require(
      writer.op == program::Op::kInput && writer.phase == phase, what, ": ", target.name,
      phase == program::Phase::kStart ? " is not an input known from the start"
                                      : " is not an input known ahead of each row");
  return writer;
}

void Session::input(int buffer, const core::Tensor& values) {
  const core::Busy busy(busy_);
  input_of(buffer, program::Phase::kStart, "input");
  const program::Buffer& target = executor_->program().buffers()[static_cast<size_t>(buffer)];
  const auto number = static_cast<size_t>(plan().buffers[static_cast<size_t>(buffer)].given);
  if (target.kind == program::Kind::kF32) {
    const float* from = elements<const float>(values, target.name.c_str(), {batch_, target.width});
    inputs_[number] = stored(from, static_cast<size_t>(4 * batch_ * target.width));
  } else {
    const int64_t* from = elements<const int64_t>(values, target.name.c_str(), {batch_});
    std::vector<int32_t> symbols;
    for (int64_t row = 0; row < batch_; ++row) {
      require(
          from[row] >= 0 && from[row] <= target.vocabulary, target.name, " must be in [0, ",
          target.vocabulary, "], got ", from[row], " in row ", row);
      symbols.push_back(static_cast<int32_t>(from[row]));
    }
    inputs_[number] = stored(symbols.data(), bytes_of(symbols));
  }
  given_[number] = inputs_[number]->data();
}

void Session::bind(
    const core::Tensor& uniforms,
    const core::Tensor& values,
    const core::Tensor* forced,
    const core::Tensor* scores,
    const core::Tensor* log_probs) {
  const core::Busy busy(busy_);
  const PlanHeader& header = plan().header;
  Launch launch;
  launch.uniforms = elements<const float>(uniforms, "uniforms", {batch_, -1, header.uniforms});
  launch.columns = uniforms.shape[1];
  const std::vector<int64_t> shape = {batch_, launch.columns, header.values};
  launch.values = elements<int64_t>(values, "values", shape);
  if (forced != nullptr) launch.forced = elements<const int64_t>(*forced, "forced", shape);
  if (log_probs != nullptr)
    launch.log_probs =
        elements<float>(*log_probs, "log_probs", {batch_, launch.columns, header.draws});
  if (scores != nullptr) {
    for (const StepPlan& step : plan().steps)
      require(
          step.op == StepOp::kSum ||
              plan().buffers[static_cast<size_t>(step.scores.buffer)].width == header.parameters,
          "scores: the draws of a site must have as many parameters each");
    std::vector<int64_t> parameters = {batch_, launch.columns, header.draws, header.parameters};
    if (header.draws == 1 && scores->shape.size() == 3) parameters.erase(parameters.begin() + 2);
    launch.scores = elements<float>(*scores, "scores", parameters);
  }
  launch_ = launch;
  for (const BufferPlan& buffer : plan().buffers)
    if (buffer.by_site != 0) given_[static_cast<size_t>(buffer.given)] = nullptr;
}

void Session::bind_inputs(const std::map<int, core::Tensor>& inputs) {
  const core::Busy busy(busy_);
  for (const auto& [buffer, values] : inputs) {
    input_of(buffer, program::Phase::kRow, "inputs");
    const program::Buffer& target = executor_->program().buffers()[static_cast<size_t>(buffer)];
    const std::string name = "inputs: " + target.name;
    const float* from =
        elements<const float>(values, name.c_str(), {batch_, launch_.columns, target.width});
    // Whole vectors of them are read where rows have whole ones.
    require(
        target.width % 4 != 0 || reinterpret_cast<uintptr_t>(from) % 16 == 0, name,
        " must begin at a multiple of 16 bytes");
    given_[static_cast<size_t>(plan().buffers[static_cast<size_t>(buffer)].given)] = from;
  }
}

void Session::check_advance(int64_t first, int64_t count) const {
  require(launch_.uniforms != nullptr || count == 0, "advance: bind arrays first");
  require(
      first >= 0 && count >= 0 && count <= launch_.columns - first, "advance: sites [", first, ", ",
      first, " + ", count, ") must lie in the ", launch_.columns, " bound columns");
  const PlanHeader& header = plan().header;
  const int64_t sites = int64_t{header.image_rows} * header.image_columns;
  require(
      !is_raster() || count == 0 || (position_ == 0 && count == sites), "advance: a GPU draws the ",
      sites, " sites of an image at once, got ", count, " from site ", position_, " on");
  if (failed_)
    throw std::runtime_error("Session: a draw failed; restore a state or make a new session");
  for (size_t i = 0; i < plan().buffers.size() && count > 0; ++i)
    require(
        plan().buffers[i].place != Place::kGiven ||
            given_[static_cast<size_t>(plan().buffers[i].given)] != nullptr,
        "advance: give the input ", plan().names[i], " first");
}

int64_t Session::advance(
    int64_t first,
    int64_t count,
    uintptr_t stream,
    const std::function<bool()>& interrupted) {
  const core::Busy busy(busy_);
  check_advance(first, count);
  // Only what changed is copied: a graph may be capturing, and keeps the pointers of its launches.
  if (!given_.empty() && given_ != given_before_) {
    keep(given_.data(), bytes_of(given_), &given_pointers_);
    given_before_ = given_;
  }
  Launch launch = launch_;
  launch.batch = batch_;
  launch.temperature = static_cast<const float*>(options_[0]->data());
  launch.top_k = static_cast<const int64_t*>(options_[1]->data());
  launch.top_p = static_cast<const float*>(options_[2]->data());
  if (!given_.empty()) launch.given = static_cast<const void* const*>(given_pointers_->data());
  if (saved_ != nullptr) launch.saved = static_cast<uint32_t*>(saved_->data());
  int64_t done = 0;
  while (done < count) {
    launch.position = position_;
    launch.first = first + done;
    launch.count = is_raster() ? count : std::min(kChunk, count - done);
    const unsigned long long failure = machine_->run(launch, stream);
    if (failure != kNoFailure) fail(failure, position_);
    position_ += launch.count;
    done += launch.count;
    if (interrupted()) break;
  }
  return done;
}

void Session::fail(unsigned long long failure, int64_t position) {
  failed_ = true;
  const auto row = static_cast<int64_t>(failure >> 3 & ((1ull << 31) - 1));
  const auto site = position + static_cast<int64_t>(failure >> 34);
  require(
      static_cast<Wrong>(failure & 7) != Wrong::kForced,
      "forced must be a symbol of its draw, or -1 for all of a draw, in row ", row, " at site ",
      site);
  const auto what = [&] {
    switch (static_cast<Wrong>(failure & 7)) {
      case Wrong::kNotANumber: return "NaN";
      case Wrong::kInfinite: return "+inf";
      case Wrong::kNotFinite: return "infinite";
      default: break;
    }
    return "all -inf, nothing is left to draw";
  };
  throw core::FloatingPointError(
      core::text("draw: scores of row ", row, " at site ", site, " are ", what()));
}

// What rings hold before anything is drawn: zeros, and the symbol that stands outside.
std::vector<uint32_t> Session::borders() const {
  std::vector<uint32_t> words(static_cast<size_t>(plan().header.saved_words * batch_), 0);
  for (const BufferPlan& buffer : plan().buffers) {
    if (buffer.keep != Keep::kRing || buffer.symbol == 0) continue;
    const auto begin = words.begin() + buffer.saved * batch_;
    std::fill(begin, begin + buffer.ring * batch_, static_cast<uint32_t>(buffer.vocabulary));
  }
  return words;
}

std::vector<uint32_t> Session::saved() const {
  std::vector<uint32_t> words(static_cast<size_t>(plan().header.saved_words * batch_));
  if (!words.empty()) saved_->download(words.data(), bytes_of(words));
  return words;
}

void Session::keep(const std::vector<uint32_t>& saved) {
  if (!saved.empty()) keep(saved.data(), bytes_of(saved), &saved_);
}

// Into the same memory as long as the machine is.
void Session::keep(const void* from, size_t bytes, std::unique_ptr<Storage>* storage) {
  if (*storage == nullptr)
    *storage = stored(from, bytes);
  else
    (*storage)->upload(from, bytes);
}

void Session::copy_row(
    const std::vector<uint32_t>& from,
    int64_t from_batch,
    int64_t from_row,
    std::vector<uint32_t>* to,
    int64_t to_batch,
    int64_t to_row) const {
  for (const BufferPlan& buffer : plan().buffers) {
    if (buffer.keep != Keep::kRing) continue;
    for (int64_t slot = 0; slot < buffer.ring; ++slot)
      std::copy_n(
          from.begin() + buffer.saved * from_batch + (slot * from_batch + from_row) * buffer.width,
          buffer.width,
          to->begin() + buffer.saved * to_batch + (slot * to_batch + to_row) * buffer.width);
  }
}

std::vector<int64_t> Session::checked_rows(const core::Tensor& rows) const {
  const int64_t* from = elements<const int64_t>(rows, "rows", {-1});
  std::vector<int64_t> all(from, from + rows.shape[0]);
  for (const int64_t row : all)
    require(row >= 0 && row < batch_, "rows must be in [0, ", batch_, "), got ", row);
  require(!is_raster(), "rows of images move in lockstep");
  return all;
}

void Session::reset(const core::Tensor& rows) {
  const core::Busy busy(busy_);
  const std::vector<int64_t> chosen = checked_rows(rows);
  const std::vector<uint32_t> fresh = borders();
  std::vector<uint32_t> words = saved();
  for (const int64_t row : chosen) copy_row(fresh, batch_, row, &words, batch_, row);
  keep(words);
  if (static_cast<int64_t>(chosen.size()) == batch_) failed_ = false;
}

void Session::select(const core::Tensor& rows) {
  const core::Busy busy(busy_);
  const std::vector<int64_t> chosen = checked_rows(rows);
  require(!chosen.empty(), "select: rows must hold at least one");
  require(inputs_.empty(), "select: a batch with inputs cannot be cut on a GPU");
  const std::vector<uint32_t> before = saved();
  const int64_t former = batch_;
  std::vector<float> temperature;
  std::vector<int64_t> top_k;
  std::vector<float> top_p;
  for (const int64_t row : chosen) {
    temperature.push_back(temperature_[static_cast<size_t>(row)]);
    top_k.push_back(top_k_[static_cast<size_t>(row)]);
    top_p.push_back(top_p_[static_cast<size_t>(row)]);
  }
  prepare(static_cast<int64_t>(chosen.size()));
  bend(std::move(temperature), std::move(top_k), std::move(top_p));
  std::vector<uint32_t> words = borders();
  for (size_t i = 0; i < chosen.size(); ++i)
    copy_row(before, former, chosen[i], &words, batch_, static_cast<int64_t>(i));
  keep(words);
}

std::string Session::state() const {
  const core::Busy busy(busy_);
  const std::vector<uint32_t> words = saved();
  std::string state(sizeof position_ + bytes_of(words), '\0');
  std::memcpy(state.data(), &position_, sizeof position_);
  if (!words.empty()) std::memcpy(state.data() + sizeof position_, words.data(), bytes_of(words));
  return state;
}

void Session::restore(const std::string& state) {
  const core::Busy busy(busy_);
  std::vector<uint32_t> words(static_cast<size_t>(plan().header.saved_words * batch_));
  require(
      state.size() == sizeof position_ + bytes_of(words), "restore: the state of this session has ",
      sizeof position_ + bytes_of(words), " bytes, got ", state.size());
  std::memcpy(&position_, state.data(), sizeof position_);
  if (!words.empty()) std::memcpy(words.data(), state.data() + sizeof position_, bytes_of(words));
  for (const BufferPlan& buffer : plan().buffers)
    for (int64_t i = 0; buffer.keep == Keep::kRing && buffer.symbol && i < buffer.ring * batch_;
         ++i) {
      uint32_t& symbol = words[static_cast<size_t>(buffer.saved * batch_ + i)];
      symbol = std::min(symbol, static_cast<uint32_t>(buffer.vocabulary));
    }
  keep(words);
  failed_ = false;
}

}  // namespace genfast::cuda
