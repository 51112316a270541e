#include "extension.h"

/* ---- modes, threads, memory, processor */

static PyObject *done(PyObject *module, martlet_status status) {
  if (status != MARTLET_OK) return raise_status(PyModule_GetState(module), status);
  Py_RETURN_NONE;
}

static PyObject *set_mode(PyObject *module, PyObject *argument) {
  martlet_math_mode mode;
  if (argument == Py_None) {
    PyErr_SetString(PyExc_TypeError, "the process's fast-math mode is a str, not None");
    return NULL;
  }
  if (parse_mode(PyModule_GetState(module), argument, &mode) < 0) return NULL;
  return done(module, martlet_math_mode_set(mode));
}

static PyObject *get_mode(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyUnicode_FromString(martlet_get_float32_fast_math_mode());
}

/* The standard name of a mode's name or alias. */
static PyObject *mode_name(PyObject *module, PyObject *argument) {
  martlet_math_mode mode;
  if (parse_mode(PyModule_GetState(module), argument, &mode) < 0) return NULL;
  return PyUnicode_FromString(martlet_math_mode_name(mode));
}

static PyObject *push_mode(PyObject *module, PyObject *argument) {
  martlet_math_mode mode;
  if (parse_mode(PyModule_GetState(module), argument, &mode) < 0) return NULL;
  return done(module, martlet_math_mode_push(mode));
}

static PyObject *pop_mode(PyObject *module, PyObject *unused) {
  (void)unused;
  return done(module, martlet_math_mode_pop());
}

static PyObject *set_threads(PyObject *module, PyObject *args) {
  int count;
  if (!PyArg_ParseTuple(args, "i", &count)) return NULL;
  return done(module, martlet_set_num_threads(count));
}

static PyObject *get_threads(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyLong_FromLong(martlet_get_num_threads());
}

static PyObject *memory_in_use(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  drain_owners();
  return PyLong_FromLongLong(martlet_memory_in_use());
}

static PyObject *set_isa(PyObject *module, PyObject *args) {
  const char *name;
  if (!PyArg_ParseTuple(args, "s", &name)) return NULL;
  return done(module, martlet_set_isa(name));
}

/* Appends a new reference, which is taken over and may be NULL. 0, or -1 with an exception. */
static int append(PyObject *list, PyObject *item) {
  int result = item == NULL ? -1 : PyList_Append(list, item);
  Py_XDECREF(item);
  return result;
}

/* (name, features, isa, [(name, available, chosen, reason)], [(name, isa, purpose, reason)]) */
static PyObject *cpu_info(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  PyObject *sets = PyList_New(0), *kernels = PyList_New(0);
  int failed = sets == NULL || kernels == NULL;
  const martlet_isa_info *isa;
  for (size_t i = 0; !failed && (isa = martlet_isa_info_at(i)) != NULL; i++) {
    failed = append(sets, Py_BuildValue("(sOOs)", isa->name, isa->is_available ? Py_True : Py_False,
                                        isa->is_chosen ? Py_True : Py_False, isa->reason)) < 0;
  }
  const martlet_kernel_info *kernel;
  for (size_t i = 0; !failed && (kernel = martlet_kernel_info_at(i)) != NULL; i++) {
    failed = append(kernels, Py_BuildValue("(ssss)", kernel->name, kernel->isa, kernel->purpose,
                                           kernel->reason)) < 0;
  }
  PyObject *result = failed ? NULL
                            : Py_BuildValue("(sssOO)", martlet_cpu_name(), martlet_cpu_features(),
                                            martlet_cpu_isa(), sets, kernels);
  Py_XDECREF(sets);
  Py_XDECREF(kernels);
  return result;
}

static PyObject *trim(PyObject *module, PyObject *unused) {
  (void)unused;
  martlet_status status = martlet_trim();
  return status == MARTLET_OK ? Py_NewRef(Py_None)
                              : raise_status(PyModule_GetState(module), status);
}

static PyMethodDef setting_methods[] = {
  {"set_mode", set_mode, METH_O, NULL},
  {"get_mode", get_mode, METH_NOARGS, NULL},
  {"mode_name", mode_name, METH_O, NULL},
  {"push_mode", push_mode, METH_O, NULL},
  {"pop_mode", pop_mode, METH_NOARGS, NULL},
  {"set_threads", set_threads, METH_VARARGS, NULL},
  {"get_threads", get_threads, METH_NOARGS, NULL},
  {"memory_in_use", memory_in_use, METH_NOARGS, NULL},
  {"trim", trim, METH_NOARGS, NULL},
  {"set_isa", set_isa, METH_VARARGS, NULL},
  {"cpu_info", cpu_info, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

/* ---- the module */

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec) {
  PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
  if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0) Py_CLEAR(type);
  return (PyTypeObject *)type;
}

/* The Tensor's type, of the slots of tensor_type.c and tensor_syntax.c. */
static PyTypeObject *add_tensor_type(PyObject *module) {
  PyType_Slot all[64];
  size_t count = 0;
  for (const PyType_Slot *slot = tensor_spec.slots; slot->slot != 0; slot++) all[count++] = *slot;
  for (const PyType_Slot *slot = tensor_syntax; slot->slot != 0; slot++) all[count++] = *slot;
  all[count] = (PyType_Slot){0, NULL};
  PyType_Spec spec = tensor_spec;
  spec.slots = all;
  return add_type(module, &spec);
}

static int module_exec(PyObject *module) {
  ModuleState *state = PyModule_GetState(module);
  if (add_errors(module, state) < 0 || PyModule_AddFunctions(module, function_methods) < 0 ||
      PyModule_AddFunctions(module, setting_methods) < 0 ||
      PyModule_AddFunctions(module, model_methods) < 0 ||
      PyModule_AddFunctions(module, value_methods) < 0)
    return -1;
  state->tensor_type = add_tensor_type(module);
  state->model_type = add_type(module, &model_spec);
  state->context_type = add_type(module, &context_spec);
  state->pool_type = add_type(module, &pool_spec);
  state->value_type = add_type(module, &value_spec);
  if (state->tensor_type == NULL || state->model_type == NULL || state->context_type == NULL ||
      state->pool_type == NULL || state->value_type == NULL)
    return -1;
  return PyModule_AddStringConstant(module, "version", martlet_version_string());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
  ModuleState *state = PyModule_GetState(module);
  Py_VISIT(state->tensor_type);
  Py_VISIT(state->model_type);
  Py_VISIT(state->context_type);
  Py_VISIT(state->pool_type);
  Py_VISIT(state->value_type);
  Py_VISIT(state->error);
  Py_VISIT(state->file_not_found);
  for (int i = 0; i < STATUS_COUNT; i++) Py_VISIT(state->errors[i]);
  return 0;
}

static int module_clear(PyObject *module) {
  ModuleState *state = PyModule_GetState(module);
  Py_CLEAR(state->tensor_type);
  Py_CLEAR(state->model_type);
  Py_CLEAR(state->context_type);
  Py_CLEAR(state->pool_type);
  Py_CLEAR(state->value_type);
  Py_CLEAR(state->error);
  Py_CLEAR(state->file_not_found);
  for (int i = 0; i < STATUS_COUNT; i++) Py_CLEAR(state->errors[i]);
  return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyModuleDef_Slot module_slots[] = {
  {Py_mod_exec, module_exec},
#ifdef Py_GIL_DISABLED
  {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
  {0, NULL},
};

static PyModuleDef definition = {
  PyModuleDef_HEAD_INIT,
  .m_name = "martlet._martlet",
  .m_doc = "The C ABI of Martlet for the martlet package; use that instead.",
  .m_size = sizeof(ModuleState),
  .m_slots = module_slots,
  .m_traverse = module_traverse,
  .m_clear = module_clear,
  .m_free = module_free,
};

PyMODINIT_FUNC PyInit__martlet(void);
PyMODINIT_FUNC PyInit__martlet(void) { return PyModuleDef_Init(&definition); }
