#include <stdatomic.h>
#include <stdlib.h>

#include "extension.h"

/* A deleter runs on any thread, perhaps deep inside the library, where neither the GIL nor the
 * library may be taken; letting go of a Python object may need both. So deleters only push onto
 * this list, and whoever holds the GIL next, and is outside the library, empties it. */
struct Owner {
  Owner *next;
  Py_buffer view; /* when release is NULL */
  void *pointer;
  void (*release)(void *);
};

static _Atomic(Owner *) abandoned;

Owner *owner_of_buffer(const Py_buffer *view) {
  Owner *owner = calloc(1, sizeof *owner);
  if (owner == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  owner->view = *view;
  return owner;
}

Owner *owner_of_pointer(void *pointer, void (*release)(void *)) {
  Owner *owner = calloc(1, sizeof *owner);
  if (owner == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  owner->pointer = pointer;
  owner->release = release;
  return owner;
}

void owner_release(Owner *owner) {
  if (owner->release != NULL) {
    owner->release(owner->pointer);
  } else {
    PyBuffer_Release(&owner->view);
  }
  free(owner);
}

static int drain_pending(void *unused) {
  (void)unused;
  drain_owners();
  return 0;
}

void owner_deleter(void *context, void *data) {
  (void)data;
  Owner *owner = context;
  owner->next = atomic_load_explicit(&abandoned, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&abandoned, &owner->next, owner,
                                                memory_order_release, memory_order_relaxed)) {
  }
  /* In case nobody calls the extension for a while; a full queue means that a call is near. */
  if (owner->next == NULL && Py_IsInitialized()) Py_AddPendingCall(drain_pending, NULL);
}

void drain_owners(void) {
  if (atomic_load_explicit(&abandoned, memory_order_relaxed) == NULL) return;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  Owner *owner = atomic_exchange_explicit(&abandoned, NULL, memory_order_acquire);
  while (owner != NULL) {
    Owner *next = owner->next;
    owner_release(owner);
    owner = next;
  }
  PyErr_Restore(type, value, traceback);
}
