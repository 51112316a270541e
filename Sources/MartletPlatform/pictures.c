// Pictures read by the system's libraries: see martlet_platform.h. What is declared here of their
// interfaces is what their versions below promise to keep.
#include <dlfcn.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "martlet_platform.h"

// The library, opened once and never closed; NULL: it is not there.
static void *library(void **kept, const char *const *names) {
  void *handle = __atomic_load_n(kept, __ATOMIC_ACQUIRE);
  for (; handle == NULL && *names != NULL; names++) handle = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
  if (handle != NULL) __atomic_store_n(kept, handle, __ATOMIC_RELEASE);
  return handle;
}

// Declares `name` as the function of that name in `handle`; where it is missing, the library is.
#define FUNCTION(result, name, ...)                                             \
  result (*name)(__VA_ARGS__) = (result (*)(__VA_ARGS__))dlsym(handle, #name); \
  if (name == NULL) return MP_PICTURE_NO_LIBRARY

// Notes the extents, or, where there is memory for pixels, compares them with those that it was made
// for. Whether the reading goes on.
static bool begin(mp_picture *picture, uint64_t width, uint64_t height) {
  if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX) return false;
  if (picture->pixels != NULL) {
    return width == (uint64_t)picture->width && height == (uint64_t)picture->height;
  }
  picture->width = (int32_t)width;
  picture->height = (int32_t)height;
  return true;
}

// ------------------------------------------------------------------------------- PNG: libpng 1.6

typedef struct bytes_left {
  const uint8_t *next;
  size_t count;
  jmp_buf failed;
} bytes_left;

// What the thread reads now.

static __thread bytes_left *png_now;

static void png_fail(void *png, const char *message) {
  (void)png, (void)message;
  longjmp(png_now->failed, 1);
}

static void png_ignore(void *png, const char *message) { (void)png, (void)message; }

static void png_take(void *png, uint8_t *to, size_t count) {
  bytes_left *left = png_now;
  if (count > left->count) png_fail(png, "");
  memcpy(to, left->next, count);
  left->next += count;
  left->count -= count;
}

static int32_t read_png(mp_picture *picture) {
  static void *kept;
  static const char *const names[] = {"libpng16.so.16", NULL};
  void *handle = library(&kept, names);
  if (handle == NULL) return MP_PICTURE_NO_LIBRARY;
  FUNCTION(const char *, png_get_libpng_ver, const void *);
  FUNCTION(void *, png_create_read_struct, const char *, void *, void (*)(void *, const char *),
           void (*)(void *, const char *));
  FUNCTION(void *, png_create_info_struct, const void *);
  FUNCTION(void, png_destroy_read_struct, void **, void **, void **);
  FUNCTION(void, png_set_read_fn, void *, void *, void (*)(void *, uint8_t *, size_t));
  FUNCTION(void, png_set_user_limits, void *, uint32_t, uint32_t);
  FUNCTION(void, png_set_chunk_malloc_max, void *, size_t);
  FUNCTION(void, png_read_info, void *, void *);
  FUNCTION(uint32_t, png_get_image_width, const void *, const void *);
  FUNCTION(uint32_t, png_get_image_height, const void *, const void *);
  FUNCTION(void, png_set_expand, void *);
  FUNCTION(void, png_set_scale_16, void *);
  FUNCTION(void, png_set_gray_to_rgb, void *);
  FUNCTION(void, png_set_add_alpha, void *, uint32_t, int);
  FUNCTION(int, png_set_interlace_handling, void *);
  FUNCTION(void, png_read_update_info, void *, void *);
  FUNCTION(size_t, png_get_rowbytes, const void *, const void *);
  FUNCTION(void, png_read_row, void *, uint8_t *, uint8_t *);

  bytes_left state = {.next = picture->bytes, .count = picture->count};
  png_now = &state;
  void *volatile png = NULL, *volatile info = NULL;
  volatile int32_t status = MP_PICTURE_DAMAGED;
  if (setjmp(state.failed) == 0) {
    png = png_create_read_struct(png_get_libpng_ver(NULL), NULL, png_fail, png_ignore);
    if (png == NULL) png_fail(png, "");
    info = png_create_info_struct(png);
    if (info == NULL) png_fail(png, "");
    png_set_read_fn(png, NULL, png_take);
    png_set_user_limits(png, INT32_MAX, INT32_MAX);
    png_set_chunk_malloc_max(png, 64 << 20);
    png_read_info(png, info);
    if (!begin(picture, png_get_image_width(png, info), png_get_image_height(png, info)))
      png_fail(png, "");
    if (picture->pixels != NULL) {
      png_set_expand(png);
      png_set_scale_16(png);
      png_set_gray_to_rgb(png);
      png_set_add_alpha(png, 255, 1);
      int passes = png_set_interlace_handling(png);
      png_read_update_info(png, info);
      size_t row = (size_t)picture->width * 4;
      if (png_get_rowbytes(png, info) != row) png_fail(png, "");
      for (int pass = 0; pass < passes; pass++) {
        for (int32_t y = 0; y < picture->height; y++)
          png_read_row(png, picture->pixels + (size_t)y * row, NULL);
      }
    }
    status = MP_PICTURE_READ;
  }
  if (png != NULL) {
    void *first = png, *second = info;
    png_destroy_read_struct(&first, &second, NULL);
  }
  png_now = NULL;
  return status;
}

// ----------------------------------------------------- JPEG: libjpeg, ABI 6.2 (libjpeg-turbo) or 8

typedef struct jpeg_errors {
  void (*error_exit)(void *);
  void (*emit_message)(void *, int);
  void (*output_message)(void *);
  void (*format_message)(void *, char *);
  void (*reset)(void *);
  int code;
  int parameters[8];
  uint8_t rest[512];
  jmp_buf failed;
} jpeg_errors;

typedef struct jpeg_source {
  const uint8_t *next;
  size_t count;
  void (*init)(void *);
  int (*fill)(void *);
  void (*skip)(void *, long);
  int (*resync)(void *, int);
  void (*term)(void *);
} jpeg_source;

typedef struct jpeg_progress {
  void (*monitor)(void *);
  long counter, limit;
  int completed, total;
  int64_t left;
} jpeg_progress;

// The beginning of jpeg_decompress_struct, which is the same in both; then room for the rest.
typedef struct jpeg_decoder {
  jpeg_errors *errors;
  void *memory;
  jpeg_progress *progress;
  void *client;
  int is_decompressor, state;
  jpeg_source *source;
  uint32_t width, height;
  int components, color_space, out_color_space;
  uint32_t scale_num, scale_denom;
  double gamma;
  int flags[12];
  uint32_t output_width, output_height;
  int out_color_components, output_components, rows_at_once, colors;
  void *colormap;
  uint32_t scanline;
  uint8_t rest[1024];
} jpeg_decoder;

_Static_assert(sizeof(void *) != 8 || offsetof(jpeg_decoder, output_width) == 136, "libjpeg's ABI");

static void jpeg_fail(void *decoder) { longjmp(((jpeg_decoder *)decoder)->errors->failed, 1); }
static void jpeg_note(void *decoder, int level) { (void)decoder, (void)level; }
static void jpeg_ignore(void *decoder) { (void)decoder; }

static int jpeg_fill(void *decoder) {
  jpeg_fail(decoder);
  return 0;
}

static void jpeg_skip(void *decoder, long count) {
  jpeg_source *source = ((jpeg_decoder *)decoder)->source;
  if (count <= 0) return;
  if ((size_t)count > source->count) jpeg_fail(decoder);
  source->next += count;
  source->count -= (size_t)count;
}

static void jpeg_count(void *decoder) {
  if (((jpeg_decoder *)decoder)->progress->left-- <= 0) jpeg_fail(decoder);
}

enum { JPEG_RGB = 2, JPEG_CMYK = 4, JPEG_BAD_VERSION_OR_SIZE_TRIES = 3 };

static int32_t read_jpeg(mp_picture *picture) {
  static void *kept;
  static const char *const names[] = {"libjpeg.so.62", "libjpeg.so.8", NULL};
  void *handle = library(&kept, names);
  if (handle == NULL) return MP_PICTURE_NO_LIBRARY;
  FUNCTION(void *, jpeg_std_error, jpeg_errors *);
  FUNCTION(void, jpeg_CreateDecompress, jpeg_decoder *, int, size_t);
  FUNCTION(void, jpeg_destroy_decompress, jpeg_decoder *);
  FUNCTION(int, jpeg_read_header, jpeg_decoder *, int);
  FUNCTION(int, jpeg_resync_to_restart, void *, int);
  FUNCTION(int, jpeg_start_decompress, jpeg_decoder *);
  FUNCTION(uint32_t, jpeg_read_scanlines, jpeg_decoder *, uint8_t **, uint32_t);
  FUNCTION(int, jpeg_finish_decompress, jpeg_decoder *);

  jpeg_errors errors;
  jpeg_decoder decoder;
  memset(&errors, 0, sizeof errors);
  memset(&decoder, 0, sizeof decoder);
  jpeg_source source = {picture->bytes, picture->count,         jpeg_ignore, jpeg_fill,
                        jpeg_skip,      jpeg_resync_to_restart, jpeg_ignore};
  jpeg_progress progress = {.monitor = jpeg_count, .left = INT64_MAX};
  decoder.errors = jpeg_std_error(&errors);
  errors.error_exit = jpeg_fail;
  errors.emit_message = jpeg_note;
  errors.output_message = jpeg_ignore;
  // The library says which version and size it is of, where it is asked for another.
  volatile int version = 62, tries = 0;
  volatile size_t size = 656;
  volatile bool is_made = false;
  volatile int32_t status = MP_PICTURE_DAMAGED;
  if (setjmp(errors.failed) != 0) {
    if (is_made) goto done;
    if (++tries == JPEG_BAD_VERSION_OR_SIZE_TRIES) return MP_PICTURE_NO_LIBRARY;
    if (errors.parameters[1] == version) version = errors.parameters[0];
    else size = (size_t)errors.parameters[0];
  }
  if (size > sizeof decoder) return MP_PICTURE_NO_LIBRARY;
  jpeg_CreateDecompress(&decoder, version, size);
  is_made = true;
  decoder.source = &source;
  decoder.progress = &progress;
  if (jpeg_read_header(&decoder, 1) != 1) jpeg_fail(&decoder);
  if (!begin(picture, decoder.width, decoder.height)) jpeg_fail(&decoder);
  if (picture->pixels != NULL) {
    // A few bytes can ask for the whole picture to be gone through once more: so often is enough.
    progress.left = 500 * ((int64_t)decoder.height / 8 + 16);
    bool is_ink = decoder.components == 4;
    decoder.out_color_space = is_ink ? JPEG_CMYK : JPEG_RGB;
    jpeg_start_decompress(&decoder);
    int parts = is_ink ? 4 : 3;
    if (decoder.output_components != parts || decoder.output_width != decoder.width)
      jpeg_fail(&decoder);
    while (decoder.scanline < decoder.output_height) {
      uint8_t *row = picture->pixels + (size_t)decoder.scanline * picture->width * 4;
      if (jpeg_read_scanlines(&decoder, &row, 1) != 1) jpeg_fail(&decoder);
      // From the last on, since three bytes become four in place.
      for (int64_t x = picture->width - 1; x >= 0; x--) {
        const uint8_t *from = row + x * parts;
        // Inks are inverted, as Adobe's programs write them.
        int black = is_ink ? from[3] : 255;
        uint8_t color[3];
        for (int part = 0; part < 3; part++) color[part] = (uint8_t)(from[part] * black / 255);
        memcpy(row + 4 * x, color, 3);
        row[4 * x + 3] = 255;
      }
    }
    jpeg_finish_decompress(&decoder);
  }
  status = MP_PICTURE_READ;
done:
  jpeg_destroy_decompress(&decoder);
  return status;
}

// ---------------------------------------------------------------------- TIFF: libtiff 4.5 or later

typedef struct tiff_file {
  const uint8_t *bytes;
  uint64_t count, place;
} tiff_file;

static intptr_t tiff_read(void *file, void *to, intptr_t count) {
  tiff_file *f = file;
  uint64_t left = f->place < f->count ? f->count - f->place : 0;
  uint64_t taken = count < 0 ? 0 : (uint64_t)count < left ? (uint64_t)count : left;
  if (taken > 0) memcpy(to, f->bytes + f->place, taken);
  f->place += taken;
  return (intptr_t)taken;
}

static intptr_t tiff_write(void *file, void *from, intptr_t count) {
  (void)file, (void)from, (void)count;
  return 0;
}

static uint64_t tiff_seek(void *file, uint64_t offset, int whence) {
  tiff_file *f = file;
  f->place = whence == 0 ? offset : (whence == 1 ? f->place : f->count) + offset;
  return f->place;
}

static int tiff_close(void *file) {
  (void)file;
  return 0;
}

static uint64_t tiff_size(void *file) { return ((tiff_file *)file)->count; }

static int tiff_map(void *file, void **base, uint64_t *size) {
  (void)file, (void)base, (void)size;
  return 0;
}

static void tiff_unmap(void *file, void *base, uint64_t size) {
  (void)file, (void)base, (void)size;
}

static int tiff_message(void *tiff, void *user, const char *module, const char *format,
                        __builtin_va_list arguments) {
  (void)tiff, (void)user, (void)module, (void)format, (void)arguments;
  return 1;
}

enum { TIFF_WIDTH = 256, TIFF_HEIGHT = 257, TIFF_TOP_LEFT = 1 };

static int32_t read_tiff(mp_picture *picture) {
  static void *kept;
  static const char *const names[] = {"libtiff.so.6", NULL};
  void *handle = library(&kept, names);
  if (handle == NULL) return MP_PICTURE_NO_LIBRARY;
  typedef int (*message_function)(void *, void *, const char *, const char *, __builtin_va_list);
  FUNCTION(void *, TIFFOpenOptionsAlloc, void);
  FUNCTION(void, TIFFOpenOptionsFree, void *);
  FUNCTION(void, TIFFOpenOptionsSetMaxSingleMemAlloc, void *, intptr_t);
  FUNCTION(void, TIFFOpenOptionsSetErrorHandlerExtR, void *, message_function, void *);
  FUNCTION(void, TIFFOpenOptionsSetWarningHandlerExtR, void *, message_function, void *);
  FUNCTION(void *, TIFFClientOpenExt, const char *, const char *, void *,
           intptr_t (*)(void *, void *, intptr_t), intptr_t (*)(void *, void *, intptr_t),
           uint64_t (*)(void *, uint64_t, int), int (*)(void *), uint64_t (*)(void *),
           int (*)(void *, void **, uint64_t *), void (*)(void *, void *, uint64_t), void *);
  FUNCTION(int, TIFFReadRGBAImageOriented, void *, uint32_t, uint32_t, uint32_t *, int, int);
  FUNCTION(void, TIFFClose, void *);
  int (*get_field)(void *, uint32_t, ...) =
    (int (*)(void *, uint32_t, ...))dlsym(handle, "TIFFGetField");
  if (get_field == NULL) return MP_PICTURE_NO_LIBRARY;

  void *options = TIFFOpenOptionsAlloc();
  if (options == NULL) return MP_PICTURE_DAMAGED;
  TIFFOpenOptionsSetErrorHandlerExtR(options, tiff_message, NULL);
  TIFFOpenOptionsSetWarningHandlerExtR(options, tiff_message, NULL);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (intptr_t)1 << 30);
  tiff_file file = {picture->bytes, picture->count, 0};
  void *tiff = TIFFClientOpenExt("picture", "rm", &file, tiff_read, tiff_write, tiff_seek,
                                 tiff_close, tiff_size, tiff_map, tiff_unmap, options);
  TIFFOpenOptionsFree(options);
  if (tiff == NULL) return MP_PICTURE_DAMAGED;
  uint32_t width = 0, height = 0;
  bool is_read = get_field(tiff, TIFF_WIDTH, &width) == 1 &&
                 get_field(tiff, TIFF_HEIGHT, &height) == 1 && begin(picture, width, height);
  if (is_read && picture->pixels != NULL) {
    is_read = TIFFReadRGBAImageOriented(tiff, width, height, (uint32_t *)(void *)picture->pixels,
                                        TIFF_TOP_LEFT, 1) == 1;
  }
  TIFFClose(tiff);
  return is_read ? MP_PICTURE_READ : MP_PICTURE_DAMAGED;
}

// ------------------------------------------------------------------------------ WebP: libwebp 1.x

static int32_t read_webp(mp_picture *picture) {
  static void *kept;
  static const char *const names[] = {"libwebp.so.7", NULL};
  void *handle = library(&kept, names);
  if (handle == NULL) return MP_PICTURE_NO_LIBRARY;
  FUNCTION(int, WebPGetInfo, const uint8_t *, size_t, int *, int *);
  FUNCTION(uint8_t *, WebPDecodeRGBAInto, const uint8_t *, size_t, uint8_t *, size_t, int);
  int width = 0, height = 0;
  if (WebPGetInfo(picture->bytes, picture->count, &width, &height) == 0 || width < 0 ||
      height < 0 || !begin(picture, (uint64_t)width, (uint64_t)height))
    return MP_PICTURE_DAMAGED;
  if (picture->pixels == NULL) return MP_PICTURE_READ;
  size_t row = (size_t)width * 4;
  if (row > INT32_MAX) return MP_PICTURE_DAMAGED;
  return WebPDecodeRGBAInto(picture->bytes, picture->count, picture->pixels, row * (size_t)height,
                            (int)row) == NULL
           ? MP_PICTURE_DAMAGED
           : MP_PICTURE_READ;
}

int32_t mp_picture_read(int32_t format, mp_picture *picture) {
  switch (format) {
    case MP_PNG: return read_png(picture);
    case MP_JPEG: return read_jpeg(picture);
    case MP_TIFF: return read_tiff(picture);
    case MP_WEBP: return read_webp(picture);
    default: return MP_PICTURE_NO_LIBRARY;
  }
}
