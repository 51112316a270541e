#define MK_TARGET avx2
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "lanes.h"
#include "../peak_body.h"
// clang-format on

#define F32_STEP(SUM) vf_fma(SUM, vf_set1(0.5f), vf_set1(1.0f))
PEAK(mk_peak_f32_avx2, F32_STEP, 2)
#endif
#include "../target_end.h"
