/* Preloaded before the C library: refuses memory and threads that the native module asks for in the thread that says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static uintptr_t module_start, module_end;
static __thread long nth, seen;
static __thread int all_after;

void fail_module(uintptr_t start, uintptr_t end) { module_start = start, module_end = end; }

/* Refuse the nth allocation from now on, and with `after` all that follow; 0 refuses none. */
void fail_nth(long n, int after) { nth = n, seen = 0, all_after = after; }

/* How many allocations there were since. */
long fail_seen(void) { return seen; }

static int is_refused(void *caller) {
    uintptr_t from = (uintptr_t)caller;
    if (nth == 0 || from < module_start || from >= module_end) return 0;
    seen++;
    return all_after ? seen >= nth : seen == nth;
}

/* Each function looks at its own caller, so it can't be left to another. */
#define REFUSE(failure) \
    if (is_refused(__builtin_return_address(0))) { errno = ENOMEM; return failure; }

void *malloc(size_t size) { REFUSE(NULL) return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { REFUSE(NULL) return __libc_calloc(count, size); }
void *realloc(void *at, size_t size) { REFUSE(NULL) return __libc_realloc(at, size); }
void *memalign(size_t alignment, size_t size) { REFUSE(NULL) return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { REFUSE(NULL) return __libc_memalign(alignment, size); }

void *reallocarray(void *at, size_t count, size_t size) {
    size_t bytes;
    REFUSE(NULL)
    if (__builtin_mul_overflow(count, size, &bytes)) { errno = ENOMEM; return NULL; }
    return __libc_realloc(at, bytes);
}

int posix_memalign(void **at, size_t alignment, size_t size) {
    REFUSE(ENOMEM)
    void *made = __libc_memalign(alignment, size);
    if (made == NULL) return ENOMEM;
    *at = made;
    return 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    REFUSE(MAP_FAILED)
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int file, off64_t offset) {
    REFUSE(MAP_FAILED)
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

void *mremap(void *at, size_t old_size, size_t new_size, int flags, ...) {
    REFUSE(MAP_FAILED)
    va_list more;
    va_start(more, flags);
    void *to = flags & MREMAP_FIXED ? va_arg(more, void *) : NULL;
    va_end(more);
    return (void *)syscall(SYS_mremap, at, old_size, new_size, flags, to);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *), void *with) {
    REFUSE(EAGAIN)
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return create(thread, how, start, with);
}
