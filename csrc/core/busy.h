// Refuses a second caller for a scope: a session serves one thread at a time.
#pragma once

#include <atomic>
#include <stdexcept>

namespace genfast::core {

class Busy {
 public:
  explicit Busy(std::atomic<bool>& busy) : busy_(busy) {
    if (busy_.exchange(true)) throw std::runtime_error("Session: in use by another thread");
  }
  ~Busy() { busy_.store(false); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool>& busy_;
};

}  // namespace genfast::core
