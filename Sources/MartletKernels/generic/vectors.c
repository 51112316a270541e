// The vector functions in 16-byte vectors, for any processor that clang has vectors for.
#define MK_TARGET generic
#include "../target_begin.h"
#if MK_TARGET_PRESENT
#define MK_VECTOR_BYTES 16
#define MK_VECTOR_TABLE mk_vectors_generic
#if defined(__aarch64__)
#define MK_HAS_FMA 1
#define MK_HAS_ROUND 1
#define MK_HAS_F16 1
#endif
#include "../vectors/vectors_table.h"
#endif
#include "../target_end.h"
