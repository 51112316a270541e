// What the processor can do, asked of the processor and of the operating system. Nothing is
// remembered here (a CPUID may trap in a virtual machine): callers ask once.
#include "internal.h"

#include <stdio.h>
#include <string.h>

const char *mk_cpu_feature_name(int32_t bit) {
#define NAMED(NAME, BIT, TEXT) [BIT] = TEXT,
  static const char *const names[32] = {MK_CPU_FEATURES(NAMED)};
#undef NAMED
  return bit >= 0 && bit < 32 ? names[bit] : NULL;
}

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct cpuid_words {
  uint32_t eax, ebx, ecx, edx;
} cpuid_words;

// Zeros where the leaf does not exist.
static cpuid_words cpuid(uint32_t leaf, uint32_t subleaf) {
  cpuid_words w = {0, 0, 0, 0};
  if (!__get_cpuid_count(leaf, subleaf, &w.eax, &w.ebx, &w.ecx, &w.edx))
    w = (cpuid_words){0, 0, 0, 0};
  return w;
}

static uint64_t extended_control_register_0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

uint32_t mk_cpu_features(void) {
  const cpuid_words one = cpuid(1, 0);
  const uint32_t os_saves = 1u << 27;
  if (!(one.ecx & os_saves)) return 0;

  // A register file counts only when the operating system saves it.
  const uint64_t xcr0 = extended_control_register_0();
  const bool ymm = (xcr0 & 0x06) == 0x06, zmm = (xcr0 & 0xe6) == 0xe6;
  const bool tiles = (xcr0 & 0x60000) == 0x60000;
  const cpuid_words seven = cpuid(7, 0), seven_one = cpuid(7, 1);
  const uint32_t f_dq_cd_bw_vl = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;

  uint32_t bits = 0;
  if (ymm && (one.ecx & 1u << 28)) {
    if (seven.ebx & 1u << 5) bits |= MK_CPU_AVX2;
    if (one.ecx & 1u << 12) bits |= MK_CPU_FMA;
    if (one.ecx & 1u << 29) bits |= MK_CPU_F16C;
    if (seven_one.eax & 1u << 4) bits |= MK_CPU_AVX_VNNI;
  }
  if (zmm && (seven.ebx & f_dq_cd_bw_vl) == f_dq_cd_bw_vl) {
    bits |= MK_CPU_AVX512;
    if (seven.ecx & 1u << 11) bits |= MK_CPU_AVX512_VNNI;
    if (seven_one.eax & 1u << 5) bits |= MK_CPU_AVX512_BF16;
    if (seven.edx & 1u << 23) bits |= MK_CPU_AVX512_FP16;
  }
#ifdef MK_SOFTWARE_AVX512  // tests only: see x86_avx512/software_lanes.h
  if (bits & MK_CPU_AVX2) bits |= MK_CPU_AVX512 | MK_CPU_AVX512_BF16;
#endif
  if (tiles && (seven.edx & 1u << 24)) {
    bits |= MK_CPU_AMX_TILE;
    if (seven.edx & 1u << 22) bits |= MK_CPU_AMX_BF16;
    if (seven.edx & 1u << 25) bits |= MK_CPU_AMX_INT8;
  }
  return bits;
}

void mk_cpu_name(char *buffer, size_t capacity) {
  if (capacity == 0) return;
  char brand[49] = {0};
  if (cpuid(0x80000000u, 0).eax >= 0x80000004u) {
    for (uint32_t i = 0; i < 3; i++) {
      const cpuid_words w = cpuid(0x80000002u + i, 0);
      memcpy(brand + 16 * i, &w, 16);
    }
  }
  const char *text = brand;
  while (*text == ' ') text++;
  size_t length = strlen(text);
  while (length > 0 && text[length - 1] == ' ') length--;
  if (length == 0) {
    text = "x86-64";
    length = strlen(text);
  }
  if (length > capacity - 1) length = capacity - 1;
  memcpy(buffer, text, length);
  buffer[length] = 0;
}

// The words that describe the data cache of a level; zeros where the processor names none.
static cpuid_words data_cache(int32_t level) {
  // Intel describes its caches in leaf 4; AMD in 0x8000001d, in the same form.
  const bool amd_form = (cpuid(0x80000001u, 0).ecx & 1u << 22) != 0;
  const uint32_t leaf = amd_form ? 0x8000001du : 4;
  for (uint32_t i = 0; i < 16; i++) {
    const cpuid_words w = cpuid(leaf, i);
    const uint32_t kind = w.eax & 31;  // 0 none, 1 data, 2 instructions, 3 unified
    if (kind == 0) break;
    if (kind != 2 && (int32_t)(w.eax >> 5 & 7) == level) return w;
  }
  return (cpuid_words){0, 0, 0, 0};
}

int64_t mk_cpu_cache_bytes(int32_t level) {
  const cpuid_words w = data_cache(level);
  if (w.eax == 0) return 0;
  const int64_t partitions = (w.ebx >> 12 & 1023) + 1;
  const int64_t line = (w.ebx & 4095) + 1, sets = (int64_t)w.ecx + 1;
  return mk_cpu_cache_ways(level) * partitions * line * sets;
}

int32_t mk_cpu_cache_ways(int32_t level) {
  const cpuid_words w = data_cache(level);
  return w.eax == 0 ? 0 : (int32_t)(w.ebx >> 22) + 1;
}

#else

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

uint32_t mk_cpu_features(void) {
#if defined(__aarch64__) && defined(__linux__)
  // The bits of <asm/hwcap.h>, which not every C library ships.
  const unsigned long caps = getauxval(AT_HWCAP), caps2 = getauxval(AT_HWCAP2);
  uint32_t bits = MK_CPU_NEON;
  if (caps & 1ul << 20) bits |= MK_CPU_DOTPROD;
  if (caps & 1ul << 22) bits |= MK_CPU_SVE;
  if (caps2 & 1ul << 13) bits |= MK_CPU_I8MM;
  if (caps2 & 1ul << 14) bits |= MK_CPU_BF16;
  return bits;
#elif defined(__aarch64__)
  return MK_CPU_NEON;
#else
  return 0;
#endif
}

#if defined(__linux__)
// Reads the first line of a small file of /proc or /sys that starts with `key`; false if none.
static bool read_line(const char *path, const char *key, char *line, int capacity) {
  FILE *file = fopen(path, "re");
  if (!file) return false;
  bool found = false;
  while (!found && fgets(line, capacity, file)) found = strncmp(line, key, strlen(key)) == 0;
  fclose(file);
  line[strcspn(line, "\n")] = 0;
  return found;
}

// What the system says of the data cache of a level: a number, perhaps with a unit; 0 if nothing.
static int64_t data_cache_number(int32_t level, const char *property) {
  for (int index = 0; index < 8; index++) {
    char path[96], line[64];
    const char *format = "/sys/devices/system/cpu/cpu0/cache/index%d/%s";
    int found_level = 0;
    long long number = 0;
    snprintf(path, sizeof path, format, index, "level");
    if (!read_line(path, "", line, sizeof line)) break;
    if (sscanf(line, "%d", &found_level) != 1 || found_level != level) continue;
    snprintf(path, sizeof path, format, index, "type");
    if (!read_line(path, "", line, sizeof line) || strcmp(line, "Instruction") == 0) continue;
    snprintf(path, sizeof path, format, index, property);
    if (read_line(path, "", line, sizeof line) && sscanf(line, "%lld", &number) == 1) return number;
  }
  return 0;
}
#endif

void mk_cpu_name(char *buffer, size_t capacity) {
  if (capacity == 0) return;
  char line[256] = "";
  const char *text = "";
#if defined(__APPLE__)
  size_t size = sizeof line;
  if (sysctlbyname("machdep.cpu.brand_string", line, &size, NULL, 0) == 0) text = line;
#elif defined(__linux__)
  if (read_line("/proc/cpuinfo", "model name", line, sizeof line) && strchr(line, ':'))
    text = strchr(line, ':') + 1;
#endif
  while (*text == ' ') text++;
#if defined(__aarch64__)
  snprintf(buffer, capacity, "%s", *text ? text : "aarch64");
#else
  snprintf(buffer, capacity, "%s", *text ? text : "unknown");
#endif
}

int64_t mk_cpu_cache_bytes(int32_t level) {
#if defined(__APPLE__)
  const char *name = level == 1   ? "hw.l1dcachesize"
                     : level == 2 ? "hw.l2cachesize"
                                  : "hw.l3cachesize";
  int64_t bytes = 0;
  size_t size = sizeof bytes;
  return sysctlbyname(name, &bytes, &size, NULL, 0) == 0 ? bytes : 0;
#elif defined(__linux__)
  return data_cache_number(level, "size") * 1024;
#else
  (void)level;
  return 0;
#endif
}

int32_t mk_cpu_cache_ways(int32_t level) {
#if defined(__linux__)
  return (int32_t)data_cache_number(level, "ways_of_associativity");
#else
  (void)level;
  return 0;
#endif
}
#endif
