// The 64-byte instantiation of the vector kernels without AVX-512: its logic can be tested on
// processors that lack the instructions.
#ifndef MARTLET_WIDE_VECTORS_H
#define MARTLET_WIDE_VECTORS_H

#include "martlet_kernels.h"

// Needs what the table "avx2" needs on x86, nothing elsewhere.
const mk_vector_table *mk_wide_vectors(void);

// The rows of AVX-512 and AVX-512 BF16 in the same way, with those vectors; null where they are not
// compiled. Needs what the instruction set "avx2" needs. The first call is made by one thread.
const mk_isa *mk_wide_isa(void);

#endif
