// MartletPlatform: what libc offers but Swift cannot import (variadic calls, thread-local storage,
// macros, the pause instruction). No logic lives here.
#ifndef MARTLET_PLATFORM_H
#define MARTLET_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "martlet_dlpack.h"

// Blocks while *word == expected, at most timeout_ns (negative: no limit). Returns on any wake-up.
void mp_futex_wait(const void *word, uint32_t expected, int64_t timeout_ns);
// Wakes at most `count` threads that wait on word.
void mp_futex_wake(const void *word, int32_t count);

// The word that sleepers wait on, as an atomic (sequentially consistent).
static inline uint32_t mp_word_load(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}
static inline void mp_word_increment(uint32_t *word) {
  __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
}

// Tells the processor that this is a spin loop.
static inline void mp_spin_hint(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

// The thread's floating-point environment (MXCSR; FPCR and FPSR on Arm). enter makes it the library's
// own: round to nearest, denormals as they are, no exception traps; and gives what it was, flags
// included, for leave. Registers are written only where they differ. x87 is not used.
static inline uint64_t mp_environment_enter(void) {
#if defined(__x86_64__)
  uint32_t was;
  __asm__ volatile("stmxcsr %0" : "=m"(was)::"memory");
  uint32_t own = 0x1f80;
  if ((was & 0xffc0) != own) __asm__ volatile("ldmxcsr %0" ::"m"(own) : "memory");
  return was;
#elif defined(__aarch64__)
  uint64_t control, flags;
  __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(flags)::"memory");
  if (control != 0) __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0) : "memory");
  return control << 32 | (flags & 0xffffffff);
#else
  return 0;
#endif
}
// Whether the thread flushes denormals, results and operands.
static inline bool mp_environment_flushes(void) {
#if defined(__x86_64__)
  uint32_t now;
  __asm__ volatile("stmxcsr %0" : "=m"(now)::"memory");
  return (now & 0x8040) != 0;
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control)::"memory");
  return (control >> 24 & 1) != 0;
#else
  return false;
#endif
}

// Lets the thread flush denormals or not; to be called between enter and leave.
static inline void mp_environment_flush(bool flushes) {
  if (mp_environment_flushes() == flushes) return;
#if defined(__x86_64__)
  uint32_t now;
  __asm__ volatile("stmxcsr %0" : "=m"(now)::"memory");
  now = flushes ? now | 0x8040 : now & ~0x8040u;
  __asm__ volatile("ldmxcsr %0" ::"m"(now) : "memory");
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)flushes << 24) : "memory");
#endif
}

static inline void mp_environment_leave(uint64_t was) {
#if defined(__x86_64__)
  uint32_t now, before = (uint32_t)was;
  __asm__ volatile("stmxcsr %0" : "=m"(now)::"memory");
  if (now != before) __asm__ volatile("ldmxcsr %0" ::"m"(before) : "memory");
#elif defined(__aarch64__)
  uint64_t control, flags;
  __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(flags)::"memory");
  if (flags != (was & 0xffffffff))
    __asm__ volatile("msr fpsr, %0" ::"r"(was & 0xffffffff) : "memory");
  if (control != was >> 32) __asm__ volatile("msr fpcr, %0" ::"r"(was >> 32) : "memory");
#else
  (void)was;
#endif
}

// Monotonic time in nanoseconds.
int64_t mp_now_ns(void);

// Number of processors in this thread's affinity mask; at least 1.
int32_t mp_affinity_count(void);
// Whether a processor is in this thread's affinity mask.
bool mp_may_use_processor(int32_t processor);
// Keeps the calling thread to these processors, as far as it may use them.
void mp_use_processors(const int32_t *processors, int32_t count);

// A counter from 1 that a fork increments in the child, so that threads known from before are known
// lost.
uint32_t mp_fork_generation(void);

// A word, 0 at first, that one thread has at a time. It holds the generation in which it was taken: a
// forked child finds it free where another thread of the parent had it, and what it stands for as
// that thread left it.
bool mp_word_try(uint32_t *word);
void mp_word_take(uint32_t *word);
void mp_word_give(uint32_t *word);

// The gate: a fork, by whatever thread, waits until no other is inside, for a second at most, and
// keeps them out until it is done. So whatever is only changed inside is whole in the child. What is
// done inside is short and waits for nothing outside; a thread may enter again inside.
void mp_gate_enter(void);
void mp_gate_leave(void);

// A word taken inside the gate.
void mp_lock_take(uint32_t *word);
void mp_lock_give(uint32_t *word);

// The calling thread's stack of scoped math modes. push fails (false) when the stack is full;
// pop and top return -1 when it is empty.
bool mp_mode_push(int32_t mode);
int32_t mp_mode_pop(void);
int32_t mp_mode_top(void);

// True on threads that are inside a parallel section of a pool: nested sections then run in line.
bool mp_in_parallel(void);
void mp_set_in_parallel(bool inside);

// Opens a file for reading, close-on-exec. Returns the descriptor or -errno.
int32_t mp_open_read(const char *path);
// Opens a file for writing (created or truncated, mode 0644). Returns the descriptor or -errno.
int32_t mp_open_write(const char *path);
// As mp_open_write, for a file that must not be there yet.
int32_t mp_open_new(const char *path);
// Opens a file without a name in this folder for writing, which is gone with its descriptor unless linkat
// gives it a name. Returns the descriptor or -errno: not all file systems have such files.
int32_t mp_open_unnamed(const char *folder);
// What scripts/build-library puts in the place of the Swift runtime's look-ups of Unicode characters'
// names, ages, scripts, categories, numeric values, word breaks and case mappings, so that 0.6 MB of
// tables need not be shipped: says that a character has none. The library uses none of them but
// case mappings, for names of modes and types, which are ASCII.
intptr_t mp_no_character_property(uint32_t scalar);
// Memory for when the system has no more. Swift ends the process where an allocation fails. So in the
// shared library, and only there, a reserve of address space is given back to the system when malloc
// or one of its kind fails anywhere in it; what failed is then tried again, and the memory counts as
// short until there is a reserve again. Who may fail politely asks from time to time whether it is.
bool mp_memory_is_short(void);
// Lays in a reserve where there is none; false, and the memory is short, where there cannot be.
bool mp_memory_replenish(void);
// Memory that may not be there: NULL then, and the reserve stays. To be freed with free.
void *mp_block(size_t alignment, size_t bytes);
// Gives what the C library's allocator keeps of freed memory back to the system, as far as it can.
void mp_trim_memory(void);

// One line to standard error, with "martlet: " before it.
void mp_warn(const char *message);

// Pictures in formats that libraries of the system read, which are looked for when they are needed.
enum { MP_PNG, MP_JPEG, MP_TIFF, MP_WEBP };
enum { MP_PICTURE_READ, MP_PICTURE_DAMAGED, MP_PICTURE_NO_LIBRARY };
typedef struct mp_picture {
  const uint8_t *bytes;  // the file
  size_t count;
  uint8_t *pixels;  // room for width x height x RGBA, aligned as uint32_t; or null
  int32_t width, height;
} mp_picture;
// Reads the extents where there is no room for pixels, else those, of the extents that were read before.
// What the file holds, warnings included, is told nobody.
int32_t mp_picture_read(int32_t format, mp_picture *picture);

#endif
