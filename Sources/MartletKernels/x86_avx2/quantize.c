// Quantising for AVX2.
#define MK_TARGET avx2
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "lanes.h"
#include "../quantize_body.h"
// clang-format on

void mk_finish_avx2(const mk_int8_finish *f) { int8_finish(f); }
void mk_quantize_avx2(const mk_quantize *q) { int8_quantize(q); }
void mk_dequantize_avx2(const mk_dequantize *d) { int8_dequantize(d); }
#endif
#include "../target_end.h"
