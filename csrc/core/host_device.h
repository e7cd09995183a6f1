// Functions that kernels of a GPU and hosts share.
//
// Sources of every instruction set and CUDA kernels include them, so each has internal linkage and
// is always inlined: no copy built for one instruction set can be linked into another's code.
#pragma once

#if defined(__CUDACC__)
#define GENFAST_HOST_DEVICE static __host__ __device__ __forceinline__
// Of a loop whose arrays are to be registers, which have no index.
#define GENFAST_UNROLL _Pragma("unroll")
#else
#define GENFAST_HOST_DEVICE static inline __attribute__((always_inline))
#define GENFAST_UNROLL
#endif
