// A plan in words: the machine, then a line a step.
#pragma once

#include <string>

#include "cuda/plan/planner.h"

namespace genfast::cuda {

std::string listing(const Plan& plan);

}  // namespace genfast::cuda
