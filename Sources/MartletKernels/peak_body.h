// The arithmetic unit's own limit: independent multiply-adds on registers, nothing else.
#ifndef MARTLET_KERNELS_PEAK_BODY_H
#define MARTLET_KERNELS_PEAK_BODY_H

// Makes the compiler believe that the register changed, so that no round is folded away.
#if defined(__x86_64__) && !defined(MK_SOFTWARE_AVX512)
#define PEAK_KEEP(V) __asm__ volatile("" : "+v"(V))
#elif defined(__aarch64__)
#define PEAK_KEEP(V) __asm__ volatile("" : "+w"(V))
#else
#define PEAK_KEEP(V) __asm__ volatile("" : "+m"(V))
#endif

enum { PEAK_CHAINS = 12 };  // more than latency times units on every processor in use

// Defines `int64_t NAME(int64_t rounds)`, which does `rounds` steps of every chain and
// returns the floating-point operations done; STEP(sum) is one vector multiply-add.
#define PEAK(NAME, STEP, OPERATIONS_PER_LANE)                              \
  int64_t NAME(int64_t rounds) {                                    \
    vf sum[PEAK_CHAINS];                                                   \
    MK_UNROLL for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = vf_zero();    \
    for (int64_t round = 0; round < rounds; round++) {                     \
      MK_UNROLL for (int i = 0; i < PEAK_CHAINS; i++) {                    \
        sum[i] = STEP(sum[i]);                                             \
        PEAK_KEEP(sum[i]);                                                 \
      }                                                                    \
    }                                                                      \
    return rounds * PEAK_CHAINS * VL * (OPERATIONS_PER_LANE);              \
  }

// The same for integers: `DOT(sum, a, b)` is one vector of multiply-adds of `kr` pairs a lane.
#define PEAK_INTEGER(NAME, DOT, KR)                                          \
  int64_t NAME(int64_t rounds) {                                             \
    vi sum[PEAK_CHAINS], a = vi_set1(0x01020304u);                           \
    MK_UNROLL for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = vi_set1(0);     \
    for (int64_t round = 0; round < rounds; round++) {                       \
      MK_UNROLL for (int i = 0; i < PEAK_CHAINS; i++) {                      \
        PEAK_KEEP(a); /* or one product would serve all chains */            \
        sum[i] = DOT(sum[i], a, a);                                          \
        PEAK_KEEP(sum[i]);                                                   \
      }                                                                      \
    }                                                                        \
    return rounds * PEAK_CHAINS * VL * 2 * (KR);                             \
  }

#endif
