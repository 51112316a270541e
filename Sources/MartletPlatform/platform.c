#define _GNU_SOURCE
#include "martlet_platform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void mp_futex_wait(const void *word, uint32_t expected, int64_t timeout_ns) {
  struct timespec limit = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &limit, NULL, 0);
}

void mp_futex_wake(const void *word, int32_t count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

int64_t mp_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

enum { MOST_PROCESSORS = 1 << 16 };

// This thread's affinity mask, to be freed with CPU_FREE, and its bytes; NULL where there is none.
static cpu_set_t *affinity(size_t *size) {
  // The kernel's mask may be larger than cpu_set_t on big machines; grow until it fits.
  for (int cpus = 1024; cpus <= MOST_PROCESSORS; cpus *= 2) {
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (set == NULL) return NULL;
    *size = CPU_ALLOC_SIZE(cpus);
    if (sched_getaffinity(0, *size, set) == 0) return set;
    int error = errno;
    CPU_FREE(set);
    if (error != EINVAL) return NULL;
  }
  return NULL;
}

int32_t mp_affinity_count(void) {
  size_t size = 0;
  cpu_set_t *set = affinity(&size);
  int count = set == NULL ? 0 : CPU_COUNT_S(size, set);
  CPU_FREE(set);
  return count > 0 ? count : 1;
}

bool mp_may_use_processor(int32_t processor) {
  size_t size = 0;
  cpu_set_t *set = processor < 0 ? NULL : affinity(&size);
  bool may = set != NULL && CPU_ISSET_S((size_t)processor, size, set);
  CPU_FREE(set);
  return may;
}

void mp_use_processors(const int32_t *processors, int32_t count) {
  size_t size = CPU_ALLOC_SIZE(MOST_PROCESSORS);
  cpu_set_t *set = CPU_ALLOC(MOST_PROCESSORS);
  if (set == NULL) return;
  CPU_ZERO_S(size, set);
  for (int32_t i = 0; i < count; ++i)
    if (processors[i] >= 0) CPU_SET_S((size_t)processors[i], size, set);
  sched_setaffinity(0, size, set);
  CPU_FREE(set);
}

enum { MODE_STACK = 64 };
static _Thread_local int32_t mode_stack[MODE_STACK];
static _Thread_local int32_t mode_depth;

bool mp_mode_push(int32_t mode) {
  if (mode_depth == MODE_STACK) return false;
  mode_stack[mode_depth++] = mode;
  return true;
}
int32_t mp_mode_pop(void) { return mode_depth == 0 ? -1 : mode_stack[--mode_depth]; }
int32_t mp_mode_top(void) { return mode_depth == 0 ? -1 : mode_stack[mode_depth - 1]; }

int32_t mp_open_read(const char *path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

int32_t mp_open_write(const char *path) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  return descriptor < 0 ? -errno : descriptor;
}

int32_t mp_open_new(const char *path) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  return descriptor < 0 ? -errno : descriptor;
}

int32_t mp_open_unnamed(const char *folder) {
  int descriptor = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
  return descriptor < 0 ? -errno : descriptor;
}

void mp_warn(const char *message) { fprintf(stderr, "martlet: %s\n", message); }

// The Swift runtime's crash reporter (80 KB) watches a whole process's signals where SWIFT_BACKTRACE
// says so, which is not for a library to do. The runtime's start-up object and its error messages
// ask for these two names of it; defined here, all of it stays out of what is linked statically.
#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN const uint64_t _swift_backtraceSettings[32] = {0};  // nothing is enabled
HIDDEN bool _swift_backtrace_isThunkFunction(const char *name) {
  (void)name;
  return false;
}

intptr_t mp_no_character_property(uint32_t scalar) {
  (void)scalar;
  return 0;
}
