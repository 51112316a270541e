// Quantising in portable C.
#define MK_TARGET generic
#include "../target_begin.h"
// clang-format off
#include "lanes.h"
#include "../quantize_body.h"
// clang-format on

void mk_finish_generic(const mk_int8_finish *f) { int8_finish(f); }
void mk_quantize_generic(const mk_quantize *q) { int8_quantize(q); }
void mk_dequantize_generic(const mk_dequantize *d) { int8_dequantize(d); }
#include "../target_end.h"
