// Opens a file of kernels for one instruction set. A kernel file reads:
//
//     #define MK_TARGET_AVX2
//     #include "../target_begin.h"
//     #if MK_TARGET_PRESENT
//     ...
//     #endif
//     #include "../target_end.h"
//
// Every function between the two is compiled for that instruction set, whatever the flags of the
// command line. On other architectures MK_TARGET_PRESENT is 0 and the file is empty.
#include "internal.h"

#include <string.h>

#if defined(MK_TARGET_GENERIC)
#define MK_TARGET_PRESENT 1
#elif defined(__x86_64__)
#define MK_TARGET_PRESENT 1
// The intrinsics come first: their declarations carry target attributes of their own.
#include <immintrin.h>
#if defined(MK_TARGET_AVX2) || \
    (defined(MK_SOFTWARE_AVX512) && (defined(MK_TARGET_AVX512) || defined(MK_TARGET_AVX512BF16)))
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(MK_TARGET_AVXVNNI)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#elif defined(MK_TARGET_AVX512VNNI)
#pragma clang attribute push(                                                                   \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vnni"))), \
    apply_to = function)
#elif defined(MK_TARGET_AVX512)
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd"))), \
    apply_to = function)
#elif defined(MK_TARGET_AVX512BF16)
#pragma clang attribute push(                                                                   \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512bf16"))), \
    apply_to = function)
#else
#error "name the target before this header"
#endif
#else
#define MK_TARGET_PRESENT 0
#endif

#if defined(MK_TARGET_GENERIC) && defined(__x86_64__)
// Processors without AVX2 are few: their kernels are compiled for size.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#endif

#define MK_INLINE static inline __attribute__((always_inline))
#define MK_UNROLL _Pragma("clang loop unroll(full)")
#define MK_ROLLED _Pragma("clang loop unroll(disable)")
