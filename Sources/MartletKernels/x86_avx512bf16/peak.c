#define MK_TARGET avx512bf16
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "../x86_avx512/lanes.h"
#include "dot.h"
#include "../peak_body.h"
// clang-format on

#define BF16_STEP(SUM) vf_dot(SUM, (vi)vf_set1(0.5f), (vi)vf_set1(1.5f))
PEAK(mk_peak_bf16_avx512bf16, BF16_STEP, 4)

#endif
#include "../target_end.h"
