// Which instruction set computes: the widest that this build has and this processor runs, or the
// one asked for.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels.h"

namespace genfast::cpu {

// Names, narrowest first.
std::vector<std::string> compiled_isas();
std::vector<std::string> available_isas();

// "" is GENFAST_ISA if that is set, else the widest. Throws std::invalid_argument for one that
// cannot run here.
const Kernels& kernels_for(const std::string& isa);

}  // namespace genfast::cpu
