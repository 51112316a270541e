// The vector of the AVX-512 kernels on processors without it, for tests alone: the same bodies and
// tile shapes with sixteen lanes through clang's vector extension, slowly (scripts/test-bf16
// --software). Nothing that is shipped contains it.
#ifndef MARTLET_KERNELS_SOFTWARE_LANES_H
#define MARTLET_KERNELS_SOFTWARE_LANES_H

// Every function is inlined, so no ABI for these vectors is needed.
#pragma clang diagnostic ignored "-Wpsabi"

enum { VL = 16 };
#include "../vector_extension.h"

MK_INLINE vi vi_load_tail(const void *p, v_tail tail) {
  uint32_t lanes[VL] = {0};
  memcpy(lanes, p, (size_t)tail.count * 4);
  return vi_load(lanes);
}
MK_INLINE void vi_store_tail(void *p, v_tail tail, vi v) { memcpy(p, &v, (size_t)tail.count * 4); }

MK_INLINE vf vf_fma(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }

MK_INLINE void vf_store_bf16_tail(void *p, v_tail tail, vf v) {
  const v_half half = v_to_bf16(v);
  memcpy(p, &half, (size_t)tail.count * 2);
}

MK_INLINE vf vf_load_step(const float *p, int64_t step) {
  float lanes[VL];
  for (int i = 0; i < VL; i++) lanes[i] = p[i * step];
  return vf_load(lanes);
}

MK_INLINE vi vi_pairs_of_row(vf first, vf second) {
  const v_half halves[2] = {v_to_bf16(first), v_to_bf16(second)};
  return vi_load(halves);
}

MK_INLINE void vi_transpose(vi v[VL]) {
  uint32_t lanes[VL][VL], turned[VL][VL];
  for (int i = 0; i < VL; i++) vi_store(lanes[i], v[i]);
  for (int i = 0; i < VL; i++)
    for (int j = 0; j < VL; j++) turned[j][i] = lanes[i][j];
  for (int i = 0; i < VL; i++) v[i] = vi_load(turned[i]);
}

#endif
