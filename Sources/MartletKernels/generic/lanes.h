// The vector of the generic kernels: four lanes through clang's vector extension, which become
// NEON or SSE2 registers. Every lanes.h defines the same names; the gemm_*.h bodies are written
// against them and compiled once per instruction set.
#ifndef MARTLET_KERNELS_GENERIC_LANES_H
#define MARTLET_KERNELS_GENERIC_LANES_H

enum { VL = 4 };  // lanes
#include "../vector_extension.h"

MK_INLINE vi vi_load_tail(const void *p, v_tail tail) {
  vi v = {0, 0, 0, 0};
  switch (tail.count) {  // constant sizes, so that no call to memcpy remains
    case 1: memcpy(&v, p, 4); break;
    case 2: memcpy(&v, p, 8); break;
    case 3: memcpy(&v, p, 12); break;
    case 4: memcpy(&v, p, 16); break;
  }
  return v;
}
MK_INLINE void vi_store_tail(void *p, v_tail tail, vi v) {
  switch (tail.count) {
    case 1: memcpy(p, &v, 4); break;
    case 2: memcpy(p, &v, 8); break;
    case 3: memcpy(p, &v, 12); break;
    case 4: memcpy(p, &v, 16); break;
  }
}

// a * b + c: fused where the baseline has the instruction; elsewhere rounded twice, always, for a
// fmaf call per lane would cost a hundred times more.
MK_INLINE vf vf_fma(vf a, vf b, vf c) {
#if defined(__aarch64__) || defined(__FMA__)
  return __builtin_elementwise_fma(a, b, c);
#else
#pragma clang fp contract(off)
  return a * b + c;
#endif
}

MK_INLINE void vf_store_bf16_tail(void *p, v_tail tail, vf v) {
  const v_half half = v_to_bf16(v);
  switch (tail.count) {
    case 1: memcpy(p, &half, 2); break;
    case 2: memcpy(p, &half, 4); break;
    case 3: memcpy(p, &half, 6); break;
    case 4: memcpy(p, &half, 8); break;
  }
}

MK_INLINE vf vf_load_step(const float *p, int64_t step) {
  return (vf){p[0], p[step], p[2 * step], p[3 * step]};
}

// Rounds 2 * VL consecutive f32 to VL pairs of bf16.
MK_INLINE vi vi_pairs_of_row(vf first, vf second) {
  return vi_pair_bf16(__builtin_shufflevector(first, second, 0, 2, 4, 6),
                      __builtin_shufflevector(first, second, 1, 3, 5, 7));
}

MK_INLINE void vi_transpose(vi v[VL]) {
  const vi a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
  const vi b = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
  const vi c = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
  const vi d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
  v[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  v[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  v[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  v[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

#endif
