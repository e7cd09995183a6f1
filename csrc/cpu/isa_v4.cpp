// x86-64-v4: AVX-512.
#define GENFAST_ISA_LEVEL 4
#define GENFAST_ISA_NAMESPACE v4
#include "cpu/kernels.inl"

namespace genfast::cpu {
const Kernels kV4Kernels = GENFAST_KERNELS("v4");
}
