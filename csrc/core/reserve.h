// Memory that was given back, for whoever asks next.
//
// The system's pages are mapped one by one when they are first written. A draw of small images is
// over in milliseconds, of which that took a tenth.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace genfast::core {

// Bytes that hold anything, aligned to a page.
class Block {
 public:
  Block() = default;
  explicit Block(size_t size) : size_((size + kPage - 1) / kPage * kPage) {
    if (size_ > 0) data_.reset(std::aligned_alloc(kPage, size_));
    if (size_ > 0 && data_ == nullptr) throw std::bad_alloc();
  }

  void* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  static constexpr size_t kPage = 4096;
  size_t size_ = 0;
  std::unique_ptr<void, Free> data_;
};

// Keeps the largest two blocks: a session takes two where threads make it lay its buffers out anew.
class Reserve {
 public:
  Reserve() { blocks_.reserve(kMostBlocks + 1); }

  Block take(size_t size) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (auto block = blocks_.begin(); block != blocks_.end(); ++block)
        if (block->size() >= size) {
          Block taken = std::move(*block);
          blocks_.erase(block);
          return taken;
        }
    }
    return Block(size);
  }

  void give(Block block) {
    if (block.size() > kMostBytes) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto smaller = [](const Block& a, const Block& b) { return a.size() < b.size(); };
    blocks_.insert(
        std::upper_bound(blocks_.begin(), blocks_.end(), block, smaller), std::move(block));
    if (blocks_.size() > kMostBlocks) blocks_.erase(blocks_.begin());
  }

 private:
  static constexpr size_t kMostBlocks = 2;
  static constexpr size_t kMostBytes = size_t{32} << 20;  // of a block: more is not kept
  std::mutex mutex_;
  std::vector<Block> blocks_;  // from small to large
};

}  // namespace genfast::core
