// Fast-math modes and their precedence, the instruction set, and what the environment says.
#include "conformance.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

// Runs `body` in a forked child that has not used the library yet, and returns what it returned.
static int in_child(int (*body)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int result = body();
    fflush(stdout);
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static int mode_value(void) { return martlet_math_mode_effective(); }
static int thread_value(void) { return martlet_get_num_threads(); }
static int spin_value(void) { return martlet_get_spin_microseconds() / 10; }
static int is_generic(void) { return strcmp(martlet_cpu_isa(), "generic") == 0; }

static int set_goes_before(void) {
  return martlet_set_float32_fast_math_mode("any") == MARTLET_OK &&
         martlet_math_mode_effective() == MARTLET_MATH_ANY;
}

static int cap_by_call(void) {
  if (martlet_set_isa("generic") || strcmp(martlet_cpu_isa(), "generic")) return 1;
  if (martlet_set_isa("generic") != MARTLET_INVALID_STATE) return 2;
  for (size_t i = 0; martlet_isa_info_at(i); ++i) {
    const martlet_isa_info *info = martlet_isa_info_at(i);
    if (i > 0 && (info->is_available || info->is_chosen || info->reason[0] == 0)) return 3;
  }
  return 0;
}

static int cap_after_use(void) {
  martlet_kernel_info_at(0);
  return martlet_set_isa("generic");
}

static void environment(void) {
  unsetenv("MARTLET_ISA");
  unsetenv("MARTLET_NUM_THREADS");
  check(in_child(mode_value) == MARTLET_MATH_FP32, "FP32 is the default");
  setenv("DNNL_DEFAULT_FPMATH_MODE", "TF32", 1);
  check(in_child(mode_value) == MARTLET_MATH_TF32, "DNNL_DEFAULT_FPMATH_MODE is heard");
  setenv("ONEDNN_DEFAULT_FPMATH_MODE", "f16", 1);
  check(in_child(mode_value) == MARTLET_MATH_F16, "ONEDNN_DEFAULT_FPMATH_MODE goes before it");
  setenv("MARTLET_FLOAT32_FAST_MATH_MODE", "Bf16", 1);
  check(in_child(mode_value) == MARTLET_MATH_BF16, "MARTLET_FLOAT32_FAST_MATH_MODE before both");
  check(in_child(set_goes_before) == 1, "a call goes before the environment");
  setenv("MARTLET_FLOAT32_FAST_MATH_MODE", "FP8", 1);
  check(in_child(mode_value) == MARTLET_MATH_F16, "an unknown value there counts as unset");
  unsetenv("MARTLET_FLOAT32_FAST_MATH_MODE");
  unsetenv("ONEDNN_DEFAULT_FPMATH_MODE");
  unsetenv("DNNL_DEFAULT_FPMATH_MODE");

  setenv("MARTLET_NUM_THREADS", "3", 1);
  check(in_child(thread_value) == 3, "MARTLET_NUM_THREADS is heard");
  setenv("MARTLET_NUM_THREADS", "-3", 1);
  check(in_child(thread_value) >= 1, "a bad value there is ignored");
  unsetenv("MARTLET_NUM_THREADS");
  setenv("MARTLET_SPIN_US", "70", 1);
  check(in_child(spin_value) == 7, "MARTLET_SPIN_US is heard");
  unsetenv("MARTLET_SPIN_US");

  check(in_child(cap_by_call) == 0, "martlet_set_isa caps the instruction set before first use");
  check(in_child(cap_after_use) == MARTLET_INVALID_STATE, "and is refused after it");
  setenv("MARTLET_ISA", "generic", 1);
  check(in_child(is_generic) == 1, "MARTLET_ISA caps it too");
  setenv("MARTLET_ISA", "z80", 1);
  check(in_child(is_generic) <= 1, "an unknown name there is ignored");
  unsetenv("MARTLET_ISA");
}

static void names(void) {
  static const struct {
    const char *name;
    martlet_math_mode mode;
  } rows[] = {{"FP32", MARTLET_MATH_FP32}, {"strict", MARTLET_MATH_FP32},
              {"Ieee", MARTLET_MATH_FP32}, {"HIGHEST", MARTLET_MATH_FP32},
              {"bf16", MARTLET_MATH_BF16}, {"Tf32", MARTLET_MATH_TF32},
              {"f16", MARTLET_MATH_F16},   {"any", MARTLET_MATH_ANY}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    martlet_math_mode mode = MARTLET_MATH_DEFAULT;
    check(martlet_math_mode_from_name(rows[i].name, &mode) == MARTLET_OK && mode == rows[i].mode &&
            martlet_set_float32_fast_math_mode(rows[i].name) == MARTLET_OK &&
            martlet_math_mode_get() == mode &&
            strcmp(martlet_get_float32_fast_math_mode(), martlet_math_mode_name(mode)) == 0,
          "%s is a name of mode %d", rows[i].name, (int)rows[i].mode);
  }
  martlet_math_mode mode = MARTLET_MATH_BF16;
  check_status(MARTLET_NOT_FOUND, martlet_math_mode_from_name("bfloat", &mode));
  check(mode == MARTLET_MATH_DEFAULT, "no mode on failure");
  check_status(MARTLET_NOT_FOUND, martlet_set_float32_fast_math_mode(""));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_set_float32_fast_math_mode(NULL));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_math_mode_from_name("BF16", NULL));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_math_mode_set(MARTLET_MATH_DEFAULT));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_math_mode_set(5));
  check(martlet_math_mode_get() == MARTLET_MATH_ANY, "a failed call changes nothing");
  check(strcmp(martlet_math_mode_name(MARTLET_MATH_DEFAULT), "DEFAULT") == 0 &&
          strcmp(martlet_math_mode_name(42), "UNKNOWN") == 0,
        "other values have names too");
}

static void *other_thread(void *unused) {
  (void)unused;
  check(martlet_math_mode_effective() == MARTLET_MATH_FP32,
        "a scope holds for its own thread alone");
  check_status(MARTLET_INVALID_STATE, martlet_math_mode_pop());
  return NULL;
}

static void scopes(void) {
  check_ok(martlet_math_mode_set(MARTLET_MATH_FP32));
  check_ok(martlet_math_mode_push(MARTLET_MATH_BF16));
  check(martlet_math_mode_effective() == MARTLET_MATH_BF16 &&
          martlet_math_mode_get() == MARTLET_MATH_FP32 &&
          strcmp(martlet_get_float32_fast_math_mode(), "BF16") == 0,
        "a scope goes before the process's mode");
  pthread_t thread;
  pthread_create(&thread, NULL, other_thread, NULL);
  pthread_join(thread, NULL);
  check_ok(martlet_math_mode_push(MARTLET_MATH_FP32));
  check(martlet_math_mode_effective() == MARTLET_MATH_FP32, "an inner scope before an outer one");
  check_ok(martlet_math_mode_pop());
  check(martlet_math_mode_effective() == MARTLET_MATH_BF16, "which comes back when it closes");
  check_ok(martlet_math_mode_pop());
  check_status(MARTLET_INVALID_STATE, martlet_math_mode_pop());
  check_status(MARTLET_INVALID_ARGUMENT, martlet_math_mode_push(MARTLET_MATH_DEFAULT));
  int depth = 0;
  while (depth < 1000 && martlet_math_mode_push(MARTLET_MATH_ANY) == MARTLET_OK) depth += 1;
  check(depth == 64 && martlet_last_error()->status == MARTLET_INVALID_STATE, "64 scopes nest");
  while (depth-- > 0) martlet_math_mode_pop();
  check(martlet_math_mode_effective() == MARTLET_MATH_FP32, "all closed again");
}

static void processor(void) {
  check(martlet_cpu_name()[0] != 0, "the processor is %s", martlet_cpu_name());
  check(martlet_cpu_features() != NULL, "its features are %s", martlet_cpu_features());
  check_status(MARTLET_NOT_FOUND, martlet_set_isa("z80"));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_set_isa(NULL));
  int chosen = 0;
  size_t count = 0;
  for (; martlet_isa_info_at(count); ++count) {
    const martlet_isa_info *info = martlet_isa_info_at(count);
    chosen += info->is_chosen && strcmp(info->name, martlet_cpu_isa()) == 0 && info->is_available;
    check(info->reason[0] != 0, "%s: %s", info->name, info->reason);
  }
  check(count >= 1 && chosen == 1, "one of the instruction sets is chosen");
  check(martlet_isa_info_at(SIZE_MAX) == NULL && martlet_kernel_info_at(SIZE_MAX) == NULL,
        "there is nothing past the last");
  for (size_t i = 0; martlet_kernel_info_at(i); ++i) {
    const martlet_kernel_info *info = martlet_kernel_info_at(i);
    check(info->name[0] && info->isa[0] && info->purpose[0] && info->reason[0], "%s (%s): %s; %s",
          info->name, info->isa, info->purpose, info->reason);
  }
  check(martlet_kernel_info_at(0) != NULL, "some kernels are in use");
}

int main(void) {
  environment();
  names();
  scopes();
  processor();
  return finish();
}
