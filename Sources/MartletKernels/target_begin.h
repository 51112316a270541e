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

// MK_EACH(COUNT, X): X(1) X(2) ... X(COUNT), COUNT a number of this list or a macro that is one.
#define MK_EACH(COUNT, X) MK_EACH_OF(COUNT, X)
#define MK_EACH_OF(COUNT, X) MK_EACH_##COUNT(X)
#define MK_EACH_4(X) X(1) X(2) X(3) X(4)
#define MK_EACH_6(X) MK_EACH_4(X) X(5) X(6)
#define MK_EACH_7(X) MK_EACH_6(X) X(7)
#define MK_EACH_8(X) MK_EACH_7(X) X(8)
#define MK_EACH_14(X) MK_EACH_8(X) X(9) X(10) X(11) X(12) X(13) X(14)
