#include <algorithm>

#include "cuda/device.h"
#include "cuda/draw.h"
#include "cuda/gpu_executor.h"

namespace genfast::cuda {
namespace {

class GpuStorage : public Storage {
 public:
  GpuStorage(int device, size_t bytes) : device_(device) {
    const DeviceGuard guard(device_);
    check(cudaMalloc(&data_, bytes));
  }
  ~GpuStorage() override { static_cast<void>(cudaFree(data_)); }
  GpuStorage(const GpuStorage&) = delete;
  GpuStorage& operator=(const GpuStorage&) = delete;

  void* data() override { return data_; }
  // Waits until the copy has arrived: a stream of the caller's does not wait for the default one.
  void upload(const void* from, size_t bytes) override {
    const DeviceGuard guard(device_);
    check(cudaMemcpy(data_, from, bytes, cudaMemcpyHostToDevice));
    check(cudaStreamSynchronize(nullptr));
  }
  void download(void* to, size_t bytes) const override {
    const DeviceGuard guard(device_);
    check(cudaMemcpy(to, data_, bytes, cudaMemcpyDeviceToHost));
  }

 private:
  int device_;
  void* data_ = nullptr;
};

template <typename T>
std::unique_ptr<GpuStorage> uploaded(int device, const std::vector<T>& values) {
  const size_t bytes = values.size() * sizeof(T);
  auto storage = std::make_unique<GpuStorage>(device, std::max<size_t>(bytes, 16));
  if (bytes > 0) storage->upload(values.data(), bytes);
  return storage;
}

// What every launch begins anew: kNoFailure, and nobody at the grid's barrier.
struct Report {
  unsigned long long failure;
  unsigned arrivals;
};

size_t chip_bytes(const Plan& plan) {
  return static_cast<size_t>(4 * plan.header.chip_words + plan.header.resident_bytes);
}

// How a plan is launched: its kernel, its blocks, and that those of a machine stand together.
class Configuration {
 public:
  explicit Configuration(const Plan& plan) : plan_(plan) {
    const PlanHeader& header = plan.header;
    kernel_ = draw_kernel();
    check(cudaFuncSetAttribute(
        kernel_, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(chip_bytes(plan))));
    if (header.grid != 0) {
      attribute_.id = cudaLaunchAttributeCooperative;
      attribute_.val.cooperative = 1;
    } else {
      attribute_.id = cudaLaunchAttributeClusterDimension;
      attribute_.val.clusterDim.x = static_cast<unsigned>(header.blocks);
      attribute_.val.clusterDim.y = attribute_.val.clusterDim.z = 1;
      constexpr int kPortable = 8;
      if (header.blocks > kPortable)
        check(cudaFuncSetAttribute(kernel_, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
    }
    config_.attrs = &attribute_;
    config_.numAttrs = header.grid != 0 || header.blocks > 1 ? 1 : 0;
    config_.blockDim = dim3(kThreads);
    config_.dynamicSmemBytes = chip_bytes(plan);
    config_.gridDim = dim3(static_cast<unsigned>(plan.machines * header.blocks));
  }
  Configuration(const Configuration&) = delete;
  Configuration& operator=(const Configuration&) = delete;

  // Machines that the device runs at the same time.
  int64_t seats() {
    int count = 0;
    if (plan_.header.grid != 0) {
      check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
          &count, kernel_, kThreads, chip_bytes(plan_)));
      return count > 0;
    }
    if (plan_.header.blocks == 1) return plan_.machines;
    check(cudaOccupancyMaxActiveClusters(&count, kernel_, &config_));
    return count;
  }

  void launch(const Launch& launch, cudaStream_t stream) {
    const int64_t rows = plan_.header.rows;
    const int64_t machines = std::min(plan_.machines, (launch.batch + rows - 1) / rows);
    config_.gridDim = dim3(static_cast<unsigned>(machines * plan_.header.blocks));
    config_.stream = stream;
    Launch given = launch;
    given.machines = machines;
    check(cudaLaunchKernelEx(&config_, kernel_, given));
  }

 private:
  const Plan& plan_;
  DrawKernel kernel_;
  cudaLaunchConfig_t config_{};
  cudaLaunchAttribute attribute_{};
};

class GpuMachine : public Machine {
 public:
  GpuMachine(Plan plan, int device, const std::byte* images)
      : plan_(std::move(plan)),
        device_(device),
        images_(images),
        steps_(uploaded(device, plan_.steps)),
        terms_(uploaded(device, plan_.terms)),
        buffers_(uploaded(device, plan_.buffers)) {
    const DeviceGuard guard(device_);
    configuration_ = std::make_unique<Configuration>(plan_);
    const auto machines = static_cast<size_t>(plan_.machines);
    const auto blocks = machines * static_cast<size_t>(plan_.header.blocks);
    const auto block = static_cast<size_t>(plan_.header.block_words);
    const auto shared = static_cast<size_t>(plan_.header.machine_words);
    block_memory_ = std::make_unique<GpuStorage>(device, 4 * blocks * block + 16);
    machine_memory_ = std::make_unique<GpuStorage>(device, 4 * machines * shared + 16);
    report_ = std::make_unique<GpuStorage>(device, sizeof(Report));
  }

  const Plan& plan() const override { return plan_; }
  std::unique_ptr<Storage> storage(size_t bytes) override {
    return std::make_unique<GpuStorage>(device_, bytes);
  }

  // Waits for the draw, unless the stream is being captured: what fails then is seen by whoever
  // reads the scores.
  unsigned long long run(const Launch& given, uintptr_t stream_number) override {
    const DeviceGuard guard(device_);
    const auto stream = reinterpret_cast<cudaStream_t>(stream_number);
    auto* report = static_cast<Report*>(report_->data());
    Launch launch = given;
    launch.plan = plan_.header;
    launch.steps = static_cast<const StepPlan*>(steps_->data());
    launch.terms = static_cast<const TermPlan*>(terms_->data());
    launch.buffers = static_cast<const BufferPlan*>(buffers_->data());
    launch.images = images_;
    launch.own = static_cast<uint32_t*>(block_memory_->data());
    launch.common = static_cast<uint32_t*>(machine_memory_->data());
    launch.failure = &report->failure;
    launch.arrivals = &report->arrivals;
    check(cudaMemsetAsync(&report->failure, 0xFF, sizeof report->failure, stream));
    check(cudaMemsetAsync(&report->arrivals, 0, sizeof report->arrivals, stream));
    configuration_->launch(launch, stream);
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(stream, &capture));
    if (capture != cudaStreamCaptureStatusNone) return kNoFailure;
    unsigned long long failure = kNoFailure;
    check(cudaMemcpyAsync(
        &failure, &report->failure, sizeof failure, cudaMemcpyDeviceToHost, stream));
    check(cudaStreamSynchronize(stream));
    return failure;
  }

 private:
  Plan plan_;
  int device_;
  const std::byte* images_;
  std::unique_ptr<GpuStorage> steps_;
  std::unique_ptr<GpuStorage> terms_;
  std::unique_ptr<GpuStorage> buffers_;
  std::unique_ptr<GpuStorage> block_memory_;
  std::unique_ptr<GpuStorage> machine_memory_;
  std::unique_ptr<GpuStorage> report_;
  std::unique_ptr<Configuration> configuration_;
};

// Whether the kernel that this device runs was compiled with clusters: of sm_80, whose PTX serves
// whatever is newer than all that was compiled for, it was not.
bool has_clusters(const cudaDeviceProp& properties) {
  cudaFuncAttributes attributes{};
  const cudaError_t status = cudaFuncGetAttributes(&attributes, draw_kernel());
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction) {
    cudaGetLastError();
    throw std::invalid_argument(
        core::text(
            "cuda: this genfast was compiled for ", GENFAST_CUDA_ARCHITECTURES, ", not for ",
            properties.name, ", sm_", properties.major, properties.minor));
  }
  check(status);
  return properties.major >= 9 && attributes.ptxVersion >= 90;
}

Limits limits_of(int device) {
  int count = 0;
  check(cudaGetDeviceCount(&count));
  core::require(
      device >= 0 && device < count, "cuda: device must be in [0, ", count, "), got ", device);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device));
  core::require(
      properties.major >= 8, "cuda: a GPU must be sm_80 or newer to draw, got ", properties.name,
      ", sm_", properties.major, properties.minor);
  const DeviceGuard guard(device);
  return {
      has_clusters(properties) ? 16 : 1, properties.multiProcessorCount,
      static_cast<int64_t>(properties.sharedMemPerBlockOptin)};
}

class GpuExecutor : public Executor {
 public:
  GpuExecutor(std::shared_ptr<const program::Program> program, Precision precision, int device)
      : program_(std::move(program)),
        precision_(precision),
        device_(device),
        limits_(limits_of(device)) {
    core::require(program_->finished(), "Executor: finish the program first");
    const DeviceGuard guard(device_);
    Plan plan = make_plan(*program_, precision_, limits_, 1);
    // A device may seat no cluster of this size, or fewer than its multiprocessors would make.
    while (plan.header.grid == 0 && Configuration(plan).seats() == 0) {
      limits_.cluster = plan.header.blocks / 2;
      plan = make_plan(*program_, precision_, limits_, 1);
    }
    if (plan.header.grid == 0)
      limits_.blocks = static_cast<int32_t>(
          std::min(plan.machines, Configuration(plan).seats()) * plan.header.blocks);
    std::vector<std::byte> images;
    for (int rank = 0; rank < plan.header.blocks; ++rank) {
      const std::vector<std::byte> image = pack_image(*program_, plan, rank);
      images.insert(images.end(), image.begin(), image.end());
    }
    images_ = uploaded(device_, images);
  }

  const program::Program& program() const override { return *program_; }
  std::unique_ptr<Machine> machine(int64_t batch) const override {
    return std::make_unique<GpuMachine>(
        make_plan(*program_, precision_, limits_, batch), device_,
        static_cast<const std::byte*>(images_->data()));
  }

 private:
  std::shared_ptr<const program::Program> program_;
  Precision precision_;
  int device_;
  Limits limits_;
  std::unique_ptr<GpuStorage> images_;
};

}  // namespace

std::shared_ptr<Executor> gpu_executor(
    std::shared_ptr<const program::Program> program,
    Precision precision,
    int device) {
  return std::make_shared<GpuExecutor>(std::move(program), precision, device);
}

}  // namespace genfast::cuda
