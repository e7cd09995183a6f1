// x86-64-v3: AVX2 and fused multiply-add.
#define GENFAST_ISA_LEVEL 3
#define GENFAST_ISA_NAMESPACE v3
#include "cpu/kernels.inl"

namespace genfast::cpu {
const Kernels kV3Kernels = GENFAST_KERNELS("v3");
}
