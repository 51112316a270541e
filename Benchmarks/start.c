// How long a program waits for Martlet: loading the library, and its first matrix product.
//   cc -Iinclude Benchmarks/start.c -o start -ldl && ./start .build-dist/lib/libmartlet.so
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <martlet.h>
#include <stdio.h>
#include <time.h>

typedef martlet_status (*create_fn)(martlet_dtype, int32_t, const int64_t *, martlet_tensor **);
typedef martlet_status (*matmul_fn)(const martlet_tensor *, const martlet_tensor *,
                                    martlet_math_mode, martlet_tensor **);

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  const double begun = now_ms();
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (!library) {
    fprintf(stderr, "start LIBRARY: %s\n", argc > 1 ? dlerror() : "name libmartlet.so");
    return 1;
  }
  const double loaded = now_ms();
  create_fn create = (create_fn)dlsym(library, "martlet_tensor_create_zeroed");
  matmul_fn matmul = (matmul_fn)dlsym(library, "martlet_matmul");
  const int64_t shape[] = {64, 64};
  martlet_tensor *x = NULL, *y = NULL;
  if (!create || !matmul || create(MARTLET_FLOAT32, 2, shape, &x) ||
      matmul(x, x, MARTLET_MATH_DEFAULT, &y)) {
    fprintf(stderr, "start: the first product failed\n");
    return 1;
  }
  printf("load %.2f ms, first product %.2f ms\n", loaded - begun, now_ms() - loaded);
  return 0;
}
