// The vector tables of the ISAs. An entry that is null is taken from the ISA before it.
#include "internal.h"

const mk_vector_table mk_vectors_generic = {0};

#if defined(__x86_64__)
const mk_vector_table mk_vectors_avx2 = {0};
const mk_vector_table mk_vectors_avx512 = {0};
#endif
