#include <stdlib.h>
#include <string.h>

#include "extension.h"

/* DLPack's structs, as dlpack.h 1.0 declares them. */
typedef struct {
  void *data;
  struct {
    int32_t device_type, device_id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape;
  int64_t *strides;
  uint64_t byte_offset;
} DLTensor;

typedef struct DLManagedTensor {
  DLTensor dl_tensor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensor *);
} DLManagedTensor;

typedef struct DLManagedTensorVersioned {
  struct {
    uint32_t major, minor;
  } version;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *);
  uint64_t flags;
  DLTensor dl_tensor;
} DLManagedTensorVersioned;

enum { IS_COPIED = 2 };

static const char LEGACY[] = "dltensor", VERSIONED[] = "dltensor_versioned";

/* ---- export */

static void free_legacy(DLManagedTensor *managed) {
  DLManagedTensorVersioned *source = managed->manager_ctx;
  source->deleter(source);
  free(managed);
}

static DLManagedTensor *legacy_of(DLManagedTensorVersioned *source) {
  DLManagedTensor *managed = calloc(1, sizeof *managed);
  if (managed == NULL) return NULL;
  managed->dl_tensor = source->dl_tensor;
  managed->manager_ctx = source;
  managed->deleter = free_legacy;
  return managed;
}

/* Runs when a capsule dies that nobody has consumed (a consumer renames it). */
static void free_capsule(PyObject *capsule) {
  if (PyCapsule_IsValid(capsule, VERSIONED)) {
    DLManagedTensorVersioned *managed = PyCapsule_GetPointer(capsule, VERSIONED);
    managed->deleter(managed);
  } else if (PyCapsule_IsValid(capsule, LEGACY)) {
    DLManagedTensor *managed = PyCapsule_GetPointer(capsule, LEGACY);
    managed->deleter(managed);
  }
}

/* Whether max_version, a tuple or None, allows version 1. -1 with an exception. */
static int wants_versioned(PyObject *max_version) {
  if (max_version == Py_None) return 0;
  int major, minor;
  if (!PyTuple_Check(max_version) || !PyArg_ParseTuple(max_version, "ii", &major, &minor)) {
    PyErr_SetString(PyExc_TypeError, "max_version must be a tuple of two integers or None");
    return -1;
  }
  return major >= 1;
}

/* Whether dl_device, a tuple or None, is the CPU. -1 with an exception. */
static int check_device(PyObject *device) {
  if (device == Py_None) return 0;
  int kind, index;
  if (!PyTuple_Check(device) || !PyArg_ParseTuple(device, "ii", &kind, &index)) {
    PyErr_SetString(PyExc_TypeError, "dl_device must be a tuple of two integers or None");
    return -1;
  }
  if (kind == 1) return 0;
  PyErr_Format(PyExc_BufferError, "a tensor lives on the CPU, not on DLPack device (%d, %d)", kind,
               index);
  return -1;
}

PyObject *tensor_to_dlpack(TensorObject *self, PyObject *args, PyObject *kwargs) {
  static char *keywords[] = {"stream", "max_version", "dl_device", "copy", NULL};
  PyObject *stream = Py_None, *max_version = Py_None, *device = Py_None, *copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$OOO", keywords, &stream, &max_version, &device,
                                   &copy))
    return NULL;
  int versioned = wants_versioned(max_version);
  if (versioned < 0 || check_device(device) < 0) return NULL;
  if (stream != Py_None) {
    PyErr_SetString(PyExc_BufferError, "the CPU has no streams; stream must be None");
    return NULL;
  }
  int copies = PyObject_IsTrue(copy);
  if (copies < 0) return NULL;
  ModuleState *state = state_of((PyObject *)self);
  bool is_read_only = false;
  martlet_tensor_is_read_only(self->handle, &is_read_only);
  if (!versioned && is_read_only && !copies) {
    PyErr_SetString(PyExc_BufferError,
                    "a read-only tensor needs DLPack 1.0: pass max_version=(1, 0) or copy=True");
    return NULL;
  }
  martlet_tensor *handle = NULL;
  martlet_status status = MARTLET_OK;
  if (copies) status = martlet_tensor_copy(self->handle, &handle);
  DLManagedTensorVersioned *managed = NULL;
  if (status == MARTLET_OK)
    status = martlet_tensor_to_dlpack(copies ? handle : self->handle, &managed);
  if (status != MARTLET_OK) raise_status(state, status);
  martlet_tensor_release(handle);
  if (status != MARTLET_OK) return NULL;
  if (copies) managed->flags |= IS_COPIED;
  PyObject *capsule = NULL;
  if (versioned) {
    capsule = PyCapsule_New(managed, VERSIONED, free_capsule);
  } else {
    DLManagedTensor *legacy = legacy_of(managed);
    if (legacy == NULL) {
      managed->deleter(managed);
      return PyErr_NoMemory();
    }
    capsule = PyCapsule_New(legacy, LEGACY, free_capsule);
    if (capsule == NULL) legacy->deleter(legacy);
    return capsule;
  }
  if (capsule == NULL) managed->deleter(managed);
  return capsule;
}

/* ---- import */

static void release_legacy(void *pointer) {
  DLManagedTensor *managed = pointer;
  if (managed->deleter != NULL) managed->deleter(managed);
}

static void release_versioned(void *pointer) {
  DLManagedTensorVersioned *managed = pointer;
  if (managed->deleter != NULL) managed->deleter(managed);
}

static void abandon_relay(DLManagedTensorVersioned *relay) {
  owner_deleter(relay->manager_ctx, NULL);
  free(relay);
}

/* Hands `tensor` to the library through a struct of our own, so that the exporter's deleter, which
 * may run any Python code, never runs inside the library. The owner is taken over. */
static PyObject *import_tensor(ModuleState *state, const DLTensor *tensor, uint64_t flags,
                               Owner *owner, const char *what) {
  DLManagedTensorVersioned *relay = calloc(1, sizeof *relay);
  if (relay == NULL) {
    owner_release(owner);
    return PyErr_NoMemory();
  }
  relay->version.major = 1;
  relay->manager_ctx = owner;
  relay->deleter = abandon_relay;
  relay->flags = flags;
  relay->dl_tensor = *tensor;
  martlet_tensor *handle = NULL;
  martlet_status status = martlet_tensor_from_dlpack(relay, &handle);
  if (status == MARTLET_OK) return tensor_object(state, handle);
  if (status == MARTLET_INVALID_DTYPE)
    PyErr_Format(state->errors[status],
                 "%s has elements of DLPack's type code %d with %d bits, which no tensor has", what,
                 tensor->dtype.code, tensor->dtype.bits);
  else raise_status(state, status);
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  free(relay);
  owner_release(owner);
  PyErr_Restore(type, value, traceback);
  return NULL;
}

static PyObject *import_capsule(ModuleState *state, PyObject *capsule, const char *what,
                                int is_output) {
  if (PyCapsule_IsValid(capsule, VERSIONED)) {
    DLManagedTensorVersioned *managed = PyCapsule_GetPointer(capsule, VERSIONED);
    if (managed->version.major != 1) {
      PyErr_Format(PyExc_BufferError, "DLPack version %u.%u is not supported, 1.x is",
                   managed->version.major, managed->version.minor);
      return NULL;
    }
    if (is_output && (managed->flags & IS_COPIED)) {
      PyErr_SetString(PyExc_BufferError,
                      "__dlpack__() gave a copy, which nobody would see written");
      return NULL;
    }
    Owner *owner = owner_of_pointer(managed, release_versioned);
    if (owner == NULL) return NULL;
    PyCapsule_SetName(capsule, "used_dltensor_versioned");
    return import_tensor(state, &managed->dl_tensor, managed->flags, owner, what);
  }
  if (PyCapsule_IsValid(capsule, LEGACY)) {
    DLManagedTensor *managed = PyCapsule_GetPointer(capsule, LEGACY);
    Owner *owner = owner_of_pointer(managed, release_legacy);
    if (owner == NULL) return NULL;
    PyCapsule_SetName(capsule, "used_dltensor");
    return import_tensor(state, &managed->dl_tensor, 0, owner, what);
  }
  PyErr_SetString(PyExc_TypeError, "__dlpack__() did not give an unused DLPack capsule");
  return NULL;
}

/* object.__dlpack__(max_version=(1, 0)), without the argument where the exporter is older. */
static PyObject *request_capsule(PyObject *object) {
  PyObject *method = PyObject_GetAttrString(object, "__dlpack__");
  PyObject *none = method == NULL ? NULL : PyTuple_New(0);
  PyObject *version = none == NULL ? NULL : Py_BuildValue("{s(ii)}", "max_version", 1, 0);
  PyObject *capsule = version == NULL ? NULL : PyObject_Call(method, none, version);
  if (capsule == NULL && version != NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
    PyErr_Clear();
    capsule = PyObject_Call(method, none, NULL);
  }
  Py_XDECREF(version);
  Py_XDECREF(none);
  Py_XDECREF(method);
  return capsule;
}

/* Names what is exported in what an exporter has raised to say no. */
static void name_refusal(const char *what) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (type != PyExc_BufferError && type != PyExc_RuntimeError && type != PyExc_TypeError) {
    PyErr_Restore(type, value, traceback);
    return;
  }
  PyErr_NormalizeException(&type, &value, &traceback);
  PyErr_Format(PyExc_BufferError, "%s: %S", what, value);
  PyObject *named_type, *named, *named_traceback;
  PyErr_Fetch(&named_type, &named, &named_traceback);
  PyErr_NormalizeException(&named_type, &named, &named_traceback);
  PyException_SetCause(named, value);
  PyErr_Restore(named_type, named, named_traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
}

PyObject *tensor_from_dlpack(ModuleState *state, PyObject *object, const char *what,
                             int is_output) {
  if (!PyCapsule_CheckExact(object) && !PyObject_HasAttrString(object, "__dlpack__")) {
    PyErr_Format(PyExc_TypeError, "%s is %R, which has no __dlpack__()", what, object);
    return NULL;
  }
  PyObject *capsule = PyCapsule_CheckExact(object) ? Py_NewRef(object) : request_capsule(object);
  if (capsule == NULL) {
    name_refusal(what);
    return NULL;
  }
  PyObject *result = import_capsule(state, capsule, what, is_output);
  Py_DECREF(capsule);
  return result;
}

/* bits_of(tensor): a uint16 or uint8 Tensor over the memory of a bfloat16 or float8 one, and of one
 * with elements of less than a byte a vector of its bytes. */
PyObject *bits_of(PyObject *module, PyObject *object) {
  ModuleState *state = PyModule_GetState(module);
  if (Py_TYPE(object) != state->tensor_type || ((TensorObject *)object)->dtype < MARTLET_BFLOAT16) {
    PyErr_SetString(PyExc_TypeError, "bits_of() takes a bfloat16 Tensor or one of less bits");
    return NULL;
  }
  size_t bytes = 0;
  int64_t extent = 0;
  DLManagedTensorVersioned *managed = NULL;
  martlet_tensor *handle = NULL;
  martlet_status status = martlet_tensor_to_dlpack(((TensorObject *)object)->handle, &managed);
  if (status != MARTLET_OK) return raise_status(state, status);
  managed->dl_tensor.dtype.code = 1; /* kDLUInt */
  if (managed->dl_tensor.dtype.bits < 8) {
    martlet_tensor_byte_count(((TensorObject *)object)->handle, &bytes);
    extent = (int64_t)bytes;
    managed->dl_tensor.dtype.bits = 8;
    managed->dl_tensor.ndim = 1;
    managed->dl_tensor.shape = &extent; /* copied by the import */
    managed->dl_tensor.strides = NULL;
  }
  status = martlet_tensor_from_dlpack(managed, &handle);
  if (status == MARTLET_OK) return tensor_object(state, handle);
  raise_status(state, status);
  managed->deleter(managed);
  return NULL;
}
