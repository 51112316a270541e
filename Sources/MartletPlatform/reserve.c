// Memory for when the system has no more: see martlet_platform.h.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "martlet_platform.h"

// The C library's functions, where the linker was told --wrap (see scripts/build-library): then every
// call of them in the library, the Swift runtime's included, comes to the wrappers below.
#define REAL(result, name, ...) extern __attribute__((weak)) result __real_##name(__VA_ARGS__)
REAL(void *, malloc, size_t);
REAL(void *, calloc, size_t, size_t);
REAL(void *, realloc, void *, size_t);
REAL(int, posix_memalign, void **, size_t, size_t);
REAL(void *, aligned_alloc, size_t, size_t);
REAL(void *, _Znwm, size_t);

enum { RESERVE_BYTES = 8 << 20 };
static void *reserve;
static bool is_short;

static void *map_reserve(void) {
  void *block =
    mmap(NULL, RESERVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return block == MAP_FAILED ? NULL : block;
}

// Puts a reserve where there is none; false where it cannot be had.
static bool lay_in(void) {
  if (__atomic_load_n(&reserve, __ATOMIC_ACQUIRE) != NULL) return true;
  void *block = map_reserve(), *none = NULL;
  if (block == NULL) return false;
  if (!__atomic_compare_exchange_n(&reserve, &none, block, false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_RELAXED))
    munmap(block, RESERVE_BYTES);
  return true;
}

// Gives the reserve back to the system, so that what has just failed may be had.
static void spend(void) {
  __atomic_store_n(&is_short, true, __ATOMIC_RELAXED);
  void *block = __atomic_exchange_n(&reserve, NULL, __ATOMIC_ACQ_REL);
  if (block != NULL) munmap(block, RESERVE_BYTES);
}

__attribute__((constructor)) static void begin(void) {
  if (__real_malloc != NULL) lay_in();
}

bool mp_memory_is_short(void) { return __atomic_load_n(&is_short, __ATOMIC_RELAXED); }

bool mp_memory_replenish(void) {
  if (__real_malloc == NULL) return true;
  if (!lay_in()) {
    __atomic_store_n(&is_short, true, __ATOMIC_RELAXED);
    return false;
  }
  __atomic_store_n(&is_short, false, __ATOMIC_RELAXED);
  return true;
}

void *mp_block(size_t alignment, size_t bytes) {
  void *block = NULL;
  int fault = __real_posix_memalign != NULL ? __real_posix_memalign(&block, alignment, bytes)
                                            : posix_memalign(&block, alignment, bytes);
  return fault == 0 ? block : NULL;
}

void mp_trim_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

// ---- What the linker puts in the place of the C library's functions

#define WRAPPER __attribute__((visibility("hidden"), used))
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap__Znwm(size_t size);

WRAPPER void *__wrap_malloc(size_t size) {
  void *block = __real_malloc(size);
  if (block != NULL || size == 0) return block;
  spend();
  return __real_malloc(size);
}

WRAPPER void *__wrap_calloc(size_t count, size_t size) {
  void *block = __real_calloc(count, size);
  if (block != NULL || count == 0 || size == 0) return block;
  spend();
  return __real_calloc(count, size);
}

WRAPPER void *__wrap_realloc(void *block, size_t size) {
  void *moved = __real_realloc(block, size);
  if (moved != NULL || size == 0) return moved;
  spend();
  return __real_realloc(block, size);
}

WRAPPER int __wrap_posix_memalign(void **block, size_t alignment, size_t size) {
  int fault = __real_posix_memalign(block, alignment, size);
  if (fault != ENOMEM) return fault;
  spend();
  return __real_posix_memalign(block, alignment, size);
}

WRAPPER void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  void *block = __real_aligned_alloc(alignment, size);
  if (block != NULL || size == 0) return block;
  spend();
  return __real_aligned_alloc(alignment, size);
}

// C++'s operator new, which throws where it fails, and what a program may have put in its place: once
// as much can be had, it will be.
WRAPPER void *__wrap__Znwm(size_t size) {
  free(__wrap_malloc(size));
  return __real__Znwm(size);
}
