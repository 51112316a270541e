// Target: bytes are read as a model and brought into a graph, which is neither optimised nor run.
#include "models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  begin();
  const char *keys[] = {"optimize", "prepare", "borrow_memory"}, *values[] = {"0", "0", "1"};
  must(martlet_model_release(load(data, size, keys, values, 3)));
  return 0;
}
