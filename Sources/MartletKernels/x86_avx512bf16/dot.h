// VDPBF16PS, the one thing that these kernels have beyond the AVX-512 lanes.
#ifndef MARTLET_KERNELS_AVX512BF16_DOT_H
#define MARTLET_KERNELS_AVX512BF16_DOT_H

#define GEMM_HAS_DOT

// Per lane: sum + the products of the two bf16 pairs; denormals count as zero.
MK_INLINE vf vf_dot(vf sum, vi a, vi b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

#endif
