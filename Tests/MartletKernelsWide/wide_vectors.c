#include "wide_vectors.h"

#if defined(__x86_64__)
#define MK_TARGET avx2
#define MK_HAS_FMA 1
#define MK_HAS_ROUND 1
#define MK_HAS_F16 1
#else
#define MK_TARGET generic
#endif
#include "../../Sources/MartletKernels/target_begin.h"
#define MK_VECTOR_BYTES 64
#define MK_VECTOR_TABLE mk_vectors_wide
#include "../../Sources/MartletKernels/vectors/vectors_table.h"
#include "../../Sources/MartletKernels/target_end.h"

const mk_vector_table *mk_wide_vectors(void) { return &mk_vectors_wide; }
