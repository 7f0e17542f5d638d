/* Preloaded into facelatch: its wall clock is off by the seconds that stand in the file CLOCK_OFFSET. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *path = getenv("CLOCK_OFFSET");
    if (clock != CLOCK_REALTIME || result != 0 || !path) return result;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return result;
    char text[24] = {0};
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    if (got > 0) time->tv_sec += atoll(text);
    return result;
}
