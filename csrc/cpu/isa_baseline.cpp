// The baseline of the architecture: SSE2 on x86, NEON on Arm.
#define GENFAST_ISA_LEVEL 1
#define GENFAST_ISA_NAMESPACE baseline
#include "cpu/kernels.inl"

namespace genfast::cpu {
const Kernels kBaselineKernels = GENFAST_KERNELS("baseline");
}
