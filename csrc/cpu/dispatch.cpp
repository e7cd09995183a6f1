#include "cpu/dispatch.h"

#include <cstdlib>

#include "core/errors.h"

namespace genfast::cpu {
namespace {

struct Level {
  const Kernels* kernels;
  bool available;
};

std::vector<Level> levels() {
  std::vector<Level> all = {{&kBaselineKernels, true}};
#if defined(GENFAST_X86_LEVELS)
  __builtin_cpu_init();
  all.push_back({&kV3Kernels, __builtin_cpu_supports("x86-64-v3") != 0});
  all.push_back({&kV4Kernels, __builtin_cpu_supports("x86-64-v4") != 0});
#endif
  return all;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const Level& level : levels()) names.emplace_back(level.kernels->name);
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Level& level : levels())
    if (level.available) names.emplace_back(level.kernels->name);
  return names;
}

const Kernels& kernels_for(const std::string& isa) {
  const char* environment = std::getenv("GENFAST_ISA");
  const std::string wanted = isa.empty() && environment != nullptr ? environment : isa;
  const Kernels* widest = nullptr;
  for (const Level& level : levels()) {
    if (!level.available) continue;
    if (wanted == level.kernels->name) return *level.kernels;
    widest = level.kernels;
  }
  core::require(
      wanted.empty(), isa.empty() ? "GENFAST_ISA" : "isa",
      " must be one that this build has and this processor runs (", joined(available_isas()),
      "), got ", wanted);
  return *widest;
}

}  // namespace genfast::cpu
