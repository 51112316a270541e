// VDPBF16PS, the one thing that these kernels have beyond the AVX-512 lanes.
#ifndef MARTLET_KERNELS_AVX512BF16_DOT_H
#define MARTLET_KERNELS_AVX512BF16_DOT_H

#define GEMM_HAS_DOT

// Per lane: sum + the products of the two bf16 pairs; denormals count as zero.
// The second operand is loaded by an instruction of its own. Folding that load gains nothing, for a
// panel's vector serves all rows of a tile and a stream waits for memory, and Bochs 3.0, which runs
// these kernels in scripts/test-avx512, misreads a folded operand's one-byte displacement.
MK_INLINE vf vf_dot(vf sum, vi a, vi b) {
#ifdef MK_SOFTWARE_AVX512
  return vf_fma(vf_even(a), vf_even(b), vf_fma(vf_odd(a), vf_odd(b), sum));
#else
  __asm__("" : "+v"(b));
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
#endif
}

#endif
