// What the targets that load models share: choices that an input makes, in a field of the file that ONNX
// does not have, and the calls that ask a model for all that it says of itself.
#ifndef FUZZ_MODELS_H
#define FUZZ_MODELS_H

#include "martlet.h"
#include "wire.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

// Each input has so many seconds of processor time: on a crowded machine the clock says nothing.
enum { SECONDS = 60 };
static inline void out_of_time(int number) {
  static const char what[] = "fuzz: an input took too much processor time\n";
  (void)number;
  if (write(STDERR_FILENO, what, sizeof what - 1) > 0) abort();
}

static inline void begin(void) {
  const struct itimerval left = {.it_value = {.tv_sec = SECONDS}};
  signal(SIGPROF, out_of_time);
  setitimer(ITIMER_PROF, &left, NULL);
}

// The choices are the bytes of this field of ModelProto, one after the other, then 0.
enum { CHOICES_FIELD = 99 };
typedef struct choices {
  wire_span bytes;
} choices;

static inline choices choices_of(const uint8_t *data, size_t size) {
  return (choices){wire_find((wire_span){data, size}, CHOICES_FIELD)};
}

static inline uint8_t choose(choices *from) {
  if (from->bytes.size == 0) return 0;
  from->bytes.size -= 1;
  return *from->bytes.data++;
}

// What is wrong with a model is an answer; that it says nothing is a fault.
static inline bool is_ok(martlet_status status) {
  if (status == MARTLET_OK) return true;
  const martlet_error *error = martlet_last_error();
  if (error->status != status || error->message == NULL || error->message[0] == 0) abort();
  if (status == MARTLET_INTERNAL_ERROR) abort();
  return false;
}

static inline void must(martlet_status status) {
  if (!is_ok(status)) abort();
}

static inline martlet_model *load(const uint8_t *data, size_t size, const char *const *keys,
                                  const char *const *values, size_t count) {
  martlet_model_options options = {
    .struct_size = sizeof options, .keys = keys, .values = values, .option_count = count};
  martlet_model *model = NULL;
  if (!is_ok(martlet_model_load_memory(data, size, &options, &model)) && model != NULL) abort();
  return model;
}

// Reads all of a description, so that what does not last is found.
static inline void read_info(const martlet_value_info *info) {
  volatile size_t sum = strlen(info->name) + strlen(info->type);
  if (info->rank < -1 || info->rank > 32) abort();
  for (int32_t axis = 0; axis < info->rank; ++axis) {
    if (info->shape[axis] < -1) abort();
    if (info->symbols[axis] != NULL) sum += strlen(info->symbols[axis]);
  }
}

#endif
