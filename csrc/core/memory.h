// Aligned memory for weights and kept buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace genfast::core {

// An array of zeros, aligned to cache lines; from 2 MB on to huge pages, which the system is asked
// for: a sweep over 17 MB of weights would otherwise miss the TLB at every page.
template <typename T>
class Aligned {
 public:
  Aligned() = default;

  explicit Aligned(size_t size) : size_(size) {
    if (size == 0) return;
    const size_t alignment = size * sizeof(T) >= kHuge ? kHuge : kLine;
    const size_t bytes = (size * sizeof(T) + alignment - 1) / alignment * alignment;
    data_ = static_cast<T*>(std::aligned_alloc(alignment, bytes));
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    if (alignment == kHuge) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    std::memset(static_cast<void*>(data_), 0, bytes);
  }

  Aligned(Aligned&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Aligned& operator=(Aligned&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Aligned() { std::free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  static constexpr size_t kLine = 64;
  static constexpr size_t kHuge = size_t{2} << 20;
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace genfast::core
