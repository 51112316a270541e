#include <stdlib.h>

#include "extension.h"

static void pool_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  martlet_pool_release(((PoolObject *)object)->handle);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

/* The numbers of a sequence into a new array, to be freed. 0, or -1 with an exception. */
static int numbers_of(PyObject *sequence, int32_t **numbers, size_t *count) {
  PyObject *list = PySequence_List(sequence);
  if (list == NULL) return -1;
  Py_ssize_t length = PyList_Size(list);
  *numbers = calloc((size_t)length + 1, sizeof **numbers);
  if (*numbers == NULL) PyErr_NoMemory();
  for (Py_ssize_t i = 0; *numbers != NULL && i < length && !PyErr_Occurred(); i++) {
    long number = PyLong_AsLong(PyList_GetItem(list, i));
    if (PyErr_Occurred()) break;
    /* What no processor has, the library refuses. */
    (*numbers)[i] = number < 0 || number > INT32_MAX ? -1 : (int32_t)number;
  }
  *count = (size_t)length;
  Py_DECREF(list);
  return PyErr_Occurred() ? -1 : 0;
}

/* ThreadPool(threads=0, *, cpus=None) */
static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"threads", "cpus", NULL};
  int threads = 0;
  PyObject *cpus = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i$O:ThreadPool", names, &threads, &cpus))
    return NULL;
  martlet_pool_options options = {.struct_size = sizeof options, .thread_count = threads};
  int32_t *numbers = NULL;
  martlet_pool *handle = NULL;
  PoolObject *self = NULL;
  if (cpus == Py_None || numbers_of(cpus, &numbers, &options.processor_count) == 0) {
    options.processors = numbers;
    martlet_status status = martlet_pool_create(&options, &handle);
    if (status != MARTLET_OK) {
      raise_status(PyType_GetModuleState(type), status);
    } else if ((self = (PoolObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0)) ==
               NULL) {
      martlet_pool_release(handle);
    } else {
      self->handle = handle;
    }
  }
  free(numbers);
  return (PyObject *)self;
}

static PyObject *pool_threads(PyObject *self, void *unused) {
  (void)unused;
  int32_t count = 0;
  martlet_status status = martlet_pool_thread_count(((PoolObject *)self)->handle, &count);
  return status == MARTLET_OK ? PyLong_FromLong(count) : raise_status(state_of(self), status);
}

int pool_handle(ModuleState *state, PyObject *object, martlet_pool **handle) {
  *handle = NULL;
  if (object == Py_None) return 0;
  if (!PyObject_TypeCheck(object, state->pool_type)) {
    PyErr_SetString(PyExc_TypeError, "pool must be a martlet.ThreadPool or None");
    return -1;
  }
  *handle = ((PoolObject *)object)->handle;
  return 0;
}

static PyGetSetDef pool_getset[] = {
  {"threads", pool_threads, NULL,
   "How many threads a computation uses at most, the caller's included.", NULL},
  {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot pool_slots[] = {
  {Py_tp_new, pool_new},
  {Py_tp_dealloc, pool_dealloc},
  {Py_tp_getset, pool_getset},
  {Py_tp_doc,
   "ThreadPool(threads=0, *, cpus=None)\n--\n\n"
   "Threads of one's own for `load` and `Model.run`.\n\n"
   "threads counts the caller's own; 0: one for each of cpus, or as many as the process may use.\n"
   "cpus are the processors that the pool's threads may run on (the caller's stays where it is).\n"
   "Results are the same with every pool. The threads end once nothing uses the pool any more."},
  {0, NULL},
};

PyType_Spec pool_spec = {
  .name = "martlet.ThreadPool",
  .basicsize = sizeof(PoolObject),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
  .slots = pool_slots,
};
