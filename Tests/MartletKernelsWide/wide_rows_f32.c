// The AVX-512 rows over sixteen AVX2 lanes.
#ifndef MK_SOFTWARE_AVX512
#define MK_SOFTWARE_AVX512
#endif
#define mk_isa_avx512 mk_isa_wide_f32
#include "../../Sources/MartletKernels/x86_avx512/gemm.c"
