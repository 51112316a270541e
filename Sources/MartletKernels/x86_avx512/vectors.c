// The vector functions in 64-byte vectors, for AVX-512.
#define MK_TARGET avx512
#include "../target_begin.h"
#if MK_TARGET_PRESENT
#define MK_VECTOR_BYTES 64
#define MK_VECTOR_TABLE mk_vectors_avx512
#define MK_HAS_FMA 1
#define MK_HAS_ROUND 1
#define MK_HAS_F16 1
#ifndef MK_SOFTWARE_AVX512
#define MK_HAS_MASKED_IO 2
#endif
#include "../vectors/vectors_table.h"
#endif
#include "../target_end.h"
