// The errors of the core. Bindings turn each into the Python exception of its name.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace genfast::core {

// std::invalid_argument is ValueError, std::runtime_error is RuntimeError; scores that cannot be
// drawn from are this.
class FloatingPointError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws std::invalid_argument of the parts unless the condition holds.
template <typename... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw std::invalid_argument(text(parts...));
}

}  // namespace genfast::core
