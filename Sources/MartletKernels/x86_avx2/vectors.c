// The vector functions in 32-byte vectors, for AVX2 with FMA and F16C.
#define MK_TARGET avx2
#include "../target_begin.h"
#if MK_TARGET_PRESENT
#define MK_VECTOR_BYTES 32
#define MK_VECTOR_TABLE mk_vectors_avx2
#define MK_HAS_FMA 1
#define MK_HAS_ROUND 1
#define MK_HAS_F16 1
#define MK_HAS_MASKED_IO 1
#include "../vectors/vectors_table.h"
#endif
#include "../target_end.h"
