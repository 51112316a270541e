// Locks that know nothing of threads' ids, and what a fork does to them.
#define _GNU_SOURCE
#include "martlet_platform.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define PER_THREAD static _Thread_local __attribute__((tls_model("initial-exec")))

// How many forks lie between this process and the first, from 1; 31 bits of it go into a word.
static uint32_t generation = 1;
PER_THREAD bool in_parallel;

uint32_t mp_fork_generation(void) { return __atomic_load_n(&generation, __ATOMIC_RELAXED); }

bool mp_in_parallel(void) { return in_parallel; }
void mp_set_in_parallel(bool inside) { in_parallel = inside; }

// ---------------------------------------------------------------- words

// 0: free. Else twice the generation in which it was taken, and 1 more where others may wait.
enum { SPINS = 100 };

static bool is_free(uint32_t word) { return word == 0 || word >> 1 != mp_fork_generation(); }

static bool swap(uint32_t *word, uint32_t expected, uint32_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

bool mp_word_try(uint32_t *word) {
  uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  return is_free(seen) && swap(word, seen, mp_fork_generation() << 1);
}

static void take_slowly(uint32_t *word) {
  for (int spin = 0; spin < SPINS; ++spin) {
    if (mp_word_try(word)) return;
    mp_spin_hint();
  }
  uint32_t waited = mp_fork_generation() << 1 | 1;
  for (;;) {
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    if (is_free(seen)) {
      // Others may wait as well: whoever gives it back wakes one.
      if (swap(word, seen, waited)) return;
    } else if (seen == waited || swap(word, seen, waited)) {
      mp_futex_wait(word, waited, -1);
    }
  }
}

void mp_word_take(uint32_t *word) {
  if (!swap(word, 0, mp_fork_generation() << 1)) take_slowly(word);
}

void mp_word_give(uint32_t *word) {
  if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) & 1) mp_futex_wake(word, 1);
}

// ---------------------------------------------------------------- the gate

// Each thread says in a slot of its own that it is inside; those that find none say so in `crowd`.
enum { SLOTS = 1024 };
typedef struct slot {
  _Alignas(64) uint32_t inside;
  uint32_t is_taken;
} slot;
static slot slots[SLOTS];
static uint32_t used_slots;
static uint32_t crowd;
static uint32_t forking;  // forks that wait for the gate to empty, or are under way
static pthread_key_t slot_key;
static bool has_slot_key;
PER_THREAD slot *own;
PER_THREAD uint32_t depth;

static void give_slot_back(void *ending) {
  own = NULL;
  __atomic_store_n(&((slot *)ending)->is_taken, 0, __ATOMIC_RELEASE);
}

static void find_slot(void) {
  for (uint32_t i = 0; has_slot_key && i < SLOTS; ++i) {
    uint32_t no = 0;
    if (!__atomic_compare_exchange_n(&slots[i].is_taken, &no, 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
      continue;
    if (pthread_setspecific(slot_key, &slots[i]) != 0) {
      __atomic_store_n(&slots[i].is_taken, 0, __ATOMIC_RELEASE);
      return;
    }
    uint32_t seen = __atomic_load_n(&used_slots, __ATOMIC_SEQ_CST);
    while (seen <= i && !__atomic_compare_exchange_n(&used_slots, &seen, i + 1, false,
                                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    own = &slots[i];
    return;
  }
}

static void say_inside(void) {
  if (own != NULL) __atomic_store_n(&own->inside, 1, __ATOMIC_RELAXED);
  else __atomic_fetch_add(&crowd, 1, __ATOMIC_SEQ_CST);
}

static void say_outside(void) {
  if (own != NULL) __atomic_store_n(&own->inside, 0, __ATOMIC_RELEASE);
  else __atomic_fetch_sub(&crowd, 1, __ATOMIC_SEQ_CST);
}

void mp_gate_enter(void) {
  depth += 1;
  if (depth > 1) return;
  if (own == NULL) find_slot();
  for (;;) {
    say_inside();
    // Either this thread sees the fork, or the fork sees this thread.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t seen = __atomic_load_n(&forking, __ATOMIC_SEQ_CST);
    if (seen == 0) return;
    say_outside();
    mp_futex_wait(&forking, seen, -1);
  }
}

void mp_gate_leave(void) {
  depth -= 1;
  if (depth == 0) say_outside();
}

void mp_lock_take(uint32_t *word) {
  if (depth == 0 && own != NULL) {
    say_inside();
    if (swap(word, 0, mp_fork_generation() << 1)) {
#if !defined(__x86_64__)  // where an exchange is no fence
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
      if (__atomic_load_n(&forking, __ATOMIC_SEQ_CST) == 0) {
        depth = 1;
        return;
      }
      mp_word_give(word);
    }
    say_outside();
  }
  mp_gate_enter();
  mp_word_take(word);
}

void mp_lock_give(uint32_t *word) {
  mp_word_give(word);
  mp_gate_leave();
}

// ---------------------------------------------------------------- forks

// Whether a thread other than this one is inside.
static bool others_are_inside(void) {
  uint32_t used = __atomic_load_n(&used_slots, __ATOMIC_SEQ_CST);
  for (uint32_t i = 0; i < used; ++i)
    if (&slots[i] != own && __atomic_load_n(&slots[i].inside, __ATOMIC_SEQ_CST) != 0) return true;
  uint32_t mine = own == NULL && depth > 0;
  return __atomic_load_n(&crowd, __ATOMIC_SEQ_CST) > mine;
}

// What is done inside is short and waits for nobody outside; should a thread stay all the same (a
// callback that waits for the one that forks), the fork goes on without it.
enum { LONGEST_WAIT_NS = 1000000000 };

static void before_fork(void) {
  __atomic_fetch_add(&forking, 1, __ATOMIC_SEQ_CST);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  int64_t deadline = 0;
  for (int round = 0; others_are_inside(); ++round) {
    if (round < 1000) {
      mp_spin_hint();
      continue;
    }
    int64_t now = mp_now_ns();
    if (deadline == 0) deadline = now + LONGEST_WAIT_NS;
    if (now > deadline) return;
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
  }
}

static void after_fork(void) {
  __atomic_fetch_sub(&forking, 1, __ATOMIC_SEQ_CST);
  mp_futex_wake(&forking, INT32_MAX);
}

static void in_child(void) {
  generation = (generation + 1) & INT32_MAX;
  if (generation == 0) generation = 1;
  forking = 0;
  memset(slots, 0, used_slots * sizeof *slots);
  if (own != NULL) *own = (slot){.inside = depth > 0, .is_taken = 1};
  crowd = own == NULL && depth > 0;
  in_parallel = false;
}

__attribute__((constructor)) static void watch_forks(void) {
  has_slot_key = pthread_key_create(&slot_key, give_slot_back) == 0;
  pthread_atfork(before_fork, after_fork, in_child);
}

// ---------------------------------------------------------------- the Swift runtime's

// scripts/build-library has the runtime that it links statically call these in the place of the C
// library's functions and of its own `once`. The real ones are there under these names.
extern int __real_pthread_mutex_lock(pthread_mutex_t *mutex) __attribute__((weak));
extern int __real_pthread_mutex_unlock(pthread_mutex_t *mutex) __attribute__((weak));
extern int __real___cxa_guard_acquire(uint64_t *guard) __attribute__((weak));
extern void __real___cxa_guard_release(uint64_t *guard) __attribute__((weak));

int mp_runtime_mutex_lock(pthread_mutex_t *mutex) {
  mp_gate_enter();
  int error = __real_pthread_mutex_lock(mutex);
  if (error != 0) mp_gate_leave();
  return error;
}

int mp_runtime_mutex_unlock(pthread_mutex_t *mutex) {
  int error = __real_pthread_mutex_unlock(mutex);
  if (error == 0) mp_gate_leave();
  return error;
}

int mp_runtime_guard_acquire(uint64_t *guard) {
  mp_gate_enter();
  int makes = __real___cxa_guard_acquire(guard);
  if (makes == 0) mp_gate_leave();
  return makes;
}

void mp_runtime_guard_release(uint64_t *guard) {
  __real___cxa_guard_release(guard);
  mp_gate_leave();
}

// The runtime's own holds a thread's id, which a child's first thread has wrong. A value whose making
// was under way on another thread when the process forked is made anew in the child.
typedef struct mp_once {
  int32_t made;  // negative: made
  uint32_t word;
} mp_once;

void mp_runtime_once(mp_once *once, void (*make)(void *), void *context) {
  mp_word_take(&once->word);
  if (__atomic_load_n(&once->made, __ATOMIC_ACQUIRE) == 0) {
    make(context);
    __atomic_store_n(&once->made, -1, __ATOMIC_RELEASE);
  }
  mp_word_give(&once->word);
}
