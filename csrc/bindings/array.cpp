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

// Whether the values lie one behind the other from side `first` on.
bool contiguous(const dlpack::Tensor& tensor, int first) {
  if (tensor.strides == nullptr) return true;
  // Without an element strides may be anything.
  for (int i = 0; i < tensor.ndim; ++i)
    if (tensor.shape[i] == 0) return true;
  int64_t expected = 1;
  for (int i = tensor.ndim - 1; i >= first; --i) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// What an argument is to be.
struct Wanted {
  const char* argument;
  int device;
  bool rows;  // each contiguous, any distance apart
};

core::Tensor view(const dlpack::Tensor& from, bool read_only, const Wanted& wanted) {
  core::require(
      from.device.type == wanted.device, wanted.argument, " must be on the ",
      wanted.device == 1 ? "CPU" : "GPU");
  core::require(
      contiguous(from, wanted.rows ? 1 : 0), wanted.argument,
      wanted.rows ? " must have contiguous rows" : " must be C-contiguous");
  core::Tensor tensor;
  tensor.data = static_cast<char*>(from.data) + from.byte_offset;
  tensor.dtype = dtype_of(from.dtype);
  tensor.item_bytes = (from.dtype.bits * from.dtype.lanes + 7) / 8;
  tensor.read_only = read_only;
  tensor.shape.assign(from.shape, from.shape + from.ndim);
  if (from.ndim > 0 && tensor.shape[0] > 0)
    tensor.row_stride = from.strides == nullptr ? tensor.size() / tensor.shape[0] : from.strides[0];
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

// What a library offers that gives a view without a capsule, in some 100 ns: DLPack 1.3. For its
// own type alone, because a subclass may hold its values elsewhere.
const dlpack::Exchange* exchange_of(const py::handle& object) {
  static const py::str* const name = new py::str("__dlpack_c_exchange_api__");
  PyObject* attributes = Py_TYPE(object.ptr())->tp_dict;
  if (attributes == nullptr) return nullptr;
  PyObject* capsule = PyDict_GetItemWithError(attributes, name->ptr());
  if (capsule == nullptr || PyCapsule_IsValid(capsule, "dlpack_exchange_api") == 0) return nullptr;
  const auto* exchange =
      static_cast<const dlpack::Exchange*>(PyCapsule_GetPointer(capsule, "dlpack_exchange_api"));
  return exchange->version.major == 1 && exchange->view != nullptr ? exchange : nullptr;
}

Array take(const py::handle& object, const Wanted& wanted) {
  const dlpack::Exchange* exchange = wanted.rows ? exchange_of(object) : nullptr;
  if (exchange != nullptr) {
    dlpack::Tensor tensor;
    if (exchange->view(object.ptr(), &tensor) != 0) throw py::error_already_set();
    return {view(tensor, false, wanted), py::reinterpret_borrow<py::object>(object)};
  }
  core::require(
      py::hasattr(object, "__dlpack__"), wanted.argument,
      " must be an array (NumPy, torch, anything with __dlpack__), got ",
      std::string(py::str(py::type::of(object).attr("__name__"))));
  // The capsule is not consumed: it owns its memory until it is collected, so keeping it keeps the
  // array.
  const py::object capsule = capsule_of(object);
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    const auto* managed = static_cast<dlpack::ManagedTensorVersioned*>(
        PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    core::require(
        managed->version.major == 1, wanted.argument, ": DLPack 1 expected, got ",
        managed->version.major);
    return {view(managed->tensor, (managed->flags & dlpack::kReadOnly) != 0, wanted), capsule};
  }
  core::require(
      PyCapsule_IsValid(capsule.ptr(), "dltensor") != 0, wanted.argument,
      ": __dlpack__ gave no DLPack capsule");
  const auto* managed =
      static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  return {view(managed->tensor, false, wanted), capsule};
}

}  // namespace

Array array(const py::handle& object, const char* argument, int device) {
  return take(object, {argument, device, false});
}

Array rows(const py::handle& object, const char* argument, int device) {
  return take(object, {argument, device, true});
}

}  // namespace genfast::bindings
