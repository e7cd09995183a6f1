#include "bindings/array.h"

#include "core/dlpack.h"

namespace py = pybind11;

namespace genfast::bindings {
namespace {

namespace dlpack = core::dlpack;

core::DType dtype_of(const dlpack::DataType& type) {
  if (type.lanes != 1) return core::DType::kOther;
  if (type.code == 0)
    return type.bits == 64   ? core::DType::kInt64
           : type.bits == 32 ? core::DType::kInt32
                             : core::DType::kOther;
  if (type.code == 4 && type.bits == 16) return core::DType::kBFloat16;
  if (type.code != 2) return core::DType::kOther;
  return type.bits == 32   ? core::DType::kFloat32
         : type.bits == 64 ? core::DType::kFloat64
         : type.bits == 16 ? core::DType::kFloat16
                           : core::DType::kOther;
}

bool contiguous(const dlpack::Tensor& tensor) {
  if (tensor.strides == nullptr) return true;
  // Without an element strides may be anything.
  for (int i = 0; i < tensor.ndim; ++i)
    if (tensor.shape[i] == 0) return true;
  int64_t expected = 1;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

core::Tensor view(const dlpack::Tensor& from, bool read_only, const char* argument, int device) {
  core::require(
      from.device.type == device, argument, " must be on the ", device == 1 ? "CPU" : "GPU");
  core::require(contiguous(from), argument, " must be C-contiguous");
  core::Tensor tensor;
  tensor.data = static_cast<char*>(from.data) + from.byte_offset;
  tensor.dtype = dtype_of(from.dtype);
  tensor.item_bytes = (from.dtype.bits * from.dtype.lanes + 7) / 8;
  tensor.read_only = read_only;
  tensor.shape.assign(from.shape, from.shape + from.ndim);
  return tensor;
}

// The newest protocol that the library speaks: older ones cannot say that an array is read-only.
py::object capsule_of(const py::handle& object) {
  const py::object method = object.attr("__dlpack__");
  try {
    return method(py::arg("max_version") = py::make_tuple(1, 0));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return method();
}

}  // namespace

Array array(const py::handle& object, const char* argument, int device) {
  core::require(
      py::hasattr(object, "__dlpack__"), argument,
      " must be an array (NumPy, torch, anything with __dlpack__), got ",
      std::string(py::str(py::type::of(object).attr("__name__"))));
  // The capsule is not consumed: it owns its memory until it is collected, so keeping it keeps the
  // array.
  const py::object capsule = capsule_of(object);
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    const auto* managed = static_cast<dlpack::ManagedTensorVersioned*>(
        PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    core::require(
        managed->version.major == 1, argument, ": DLPack 1 expected, got ", managed->version.major);
    return {
        view(managed->tensor, (managed->flags & dlpack::kReadOnly) != 0, argument, device),
        capsule};
  }
  core::require(
      PyCapsule_IsValid(capsule.ptr(), "dltensor") != 0, argument,
      ": __dlpack__ gave no DLPack capsule");
  const auto* managed =
      static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  return {view(managed->tensor, false, argument, device), capsule};
}

}  // namespace genfast::bindings
