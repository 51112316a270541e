// Walks of decision trees over values of float32 and of float64, the same way on all ISAs.
#include "internal.h"

enum { LANES = 8 };

#define T float
#define NAME(x) x##_f32
#include "trees_body.h"

#define T double
#define NAME(x) x##_f64
#include "trees_body.h"
