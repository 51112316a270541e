// Opens a file of kernels for one instruction set. A kernel file reads:
//
//     #define MK_TARGET avx2
//     #include "../target_begin.h"
//     #if MK_TARGET_PRESENT
//     ...
//     #endif
//     #include "../target_end.h"
//
// Every function between the two is compiled for that instruction set of isas.inc, whatever the flags
// of the command line. On other architectures MK_TARGET_PRESENT is 0 and the file is empty.
#include "internal.h"

#include <string.h>

#define MK_TARGET_ROW(COLUMN) MK_TARGET_ROW_OF(MK_TARGET, COLUMN)
#define MK_TARGET_ROW_OF(NAME, COLUMN) MK_TARGET_PASTED(NAME, COLUMN)
#define MK_TARGET_PASTED(NAME, COLUMN) MK_ISA_##NAME(COLUMN)
#define MK_WHERE(NAME, WHERE, TARGET, NEEDS) WHERE
#define MK_ATTRIBUTE(NAME, WHERE, TARGET, NEEDS) __attribute__((target(TARGET)))

#if MK_TARGET_ROW(MK_WHERE) == MK_EVERYWHERE
#define MK_TARGET_PRESENT 1
#if defined(__x86_64__)
// Processors without AVX2 are few: their kernels are compiled for size.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#endif
#elif MK_TARGET_ROW(MK_WHERE)
#define MK_TARGET_PRESENT 1
// The intrinsics come first: their declarations carry target attributes of their own.
#include <immintrin.h>
#pragma clang attribute push(MK_TARGET_ROW(MK_ATTRIBUTE), apply_to = function)
#else
#define MK_TARGET_PRESENT 0
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
