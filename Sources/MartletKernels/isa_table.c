// The list of instruction sets, in the order of isas.inc.
#include "internal.h"

#define LISTED(NAME, WHERE, TARGET, NEEDS) &mk_isa_##NAME,
static const mk_isa *const isa_list[] = {MK_ISAS(LISTED)};

const mk_isa *const *mk_isa_list(int32_t *count) {
  *count = (int32_t)(sizeof isa_list / sizeof isa_list[0]);
  return isa_list;
}
