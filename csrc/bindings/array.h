// Arrays of any library, by DLPack.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <vector>

#include "core/tensor.h"

namespace genfast::bindings {

// A view, and the capsule that keeps its memory alive.
struct Array {
  core::Tensor tensor;
  pybind11::object owner;
};

// C-contiguous and on `device` (DLPack's number: 1 CPU, 2 CUDA), else ValueError naming the
// argument.
Array array(const pybind11::handle& object, const char* argument, int device = 1);

}  // namespace genfast::bindings
