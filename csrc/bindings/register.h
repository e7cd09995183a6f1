// What module.cpp calls: one function a subject.
#pragma once

#include <pybind11/pybind11.h>

namespace genfast::bindings {

void register_build(pybind11::module_& module);
void register_random(pybind11::module_& module);
void register_program(pybind11::module_& module);
void register_session(pybind11::module_& module);
void register_cuda_session(pybind11::module_& module);
void register_masked_conv2d(pybind11::module_& module);
void register_reparameterize(pybind11::module_& module);
void register_cuda_reparameterize(pybind11::module_& module);
void register_measure(pybind11::module_& module);

}  // namespace genfast::bindings
