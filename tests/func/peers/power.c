/*
 * What is written to the files of a database, in the order of writing: a test
 * can make of it what a power cut leaves at any moment
 *
 * Preloaded into sbcd. POWER_FILES: the files whose names begin so are watched;
 * POWER_LOG: where the steps go. A step is op, file, time [us, monotonic],
 * offset, length, then the bytes of a write. The wal-index (-shm) is made anew
 * after a crash and so is none of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	WRITE = 1,
	SYNC,
	TRUNCATE,
	UNLINK,
	FDS = 4096,
	SUFFIX = 16
};

struct step {
	uint32_t op;
	char file[SUFFIX]; /* what follows POWER_FILES */
	uint64_t time, offset, length;
} __attribute__((packed));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *files;
static char names[FDS][SUFFIX];
static _Bool watched[FDS];
static int out = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("POWER_LOG");

	files = getenv("POWER_FILES");
	if (path && files)
		out = (int)REAL(open)(
			path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static _Bool is_watched(const char *path, const char **suffix)
{
	size_t n = files ? strlen(files) : 0;

	if (out < 0 || strncmp(path, files, n) || strlen(path + n) >= SUFFIX ||
	    !strcmp(path + n, "-shm"))
		return 0;
	*suffix = path + n;
	return 1;
}

/* The lock is held: steps stand in the order in which they happened */
static void note(uint32_t op, const char *name, uint64_t offset,
		 uint64_t length, const void *p)
{
	struct step s = { .op = op, .offset = offset, .length = length };
	struct iovec v[2] = { { &s, sizeof(s) },
			      { (void *)(uintptr_t)p, p ? length : 0 } };
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	s.time = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	strncpy(s.file, name, SUFFIX - 1);
	if (writev(out, v, 2) < 0)
		abort();
}

static int opened(int fd, const char *path)
{
	const char *suffix;

	if (fd < 0 || fd >= FDS)
		return fd;
	pthread_mutex_lock(&lock);
	watched[fd] = is_watched(path, &suffix);
	if (watched[fd])
		strncpy(names[fd], suffix, SUFFIX - 1);
	pthread_mutex_unlock(&lock);
	return fd;
}

#define OPEN(name)                                                             \
	int name(const char *path, int flags, ...)                             \
	{                                                                      \
		va_list ap;                                                    \
		mode_t mode;                                                   \
                                                                               \
		va_start(ap, flags);                                           \
		mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;               \
		va_end(ap);                                                    \
		return opened(REAL(name)(path, flags, mode), path);            \
	}
OPEN(open)
OPEN(open64)

int close(int fd)
{
	pthread_mutex_lock(&lock);
	if (fd >= 0 && fd < FDS)
		watched[fd] = 0;
	pthread_mutex_unlock(&lock);
	return REAL(close)(fd);
}

static _Bool is_file(int fd)
{
	return fd >= 0 && fd < FDS && watched[fd];
}

#define PWRITE(name)                                                           \
	ssize_t name(int fd, const void *p, size_t n, off_t at)                \
	{                                                                      \
		ssize_t done;                                                  \
                                                                               \
		if (!is_file(fd))                                              \
			return REAL(name)(fd, p, n, at);                       \
		pthread_mutex_lock(&lock);                                     \
		done = REAL(name)(fd, p, n, at);                               \
		if (done > 0)                                                  \
			note(WRITE, names[fd], (uint64_t)at, (uint64_t)done,   \
			     p);                                               \
		pthread_mutex_unlock(&lock);                                   \
		return done;                                                   \
	}
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t done;
	off_t at;

	if (!is_file(fd))
		return REAL(write)(fd, p, n);
	pthread_mutex_lock(&lock);
	at = lseek(fd, 0, SEEK_CUR);
	done = REAL(write)(fd, p, n);
	if (done > 0)
		note(WRITE, names[fd], (uint64_t)at, (uint64_t)done, p);
	pthread_mutex_unlock(&lock);
	return done;
}

#define SYNC_BY(name)                                                          \
	int name(int fd)                                                       \
	{                                                                      \
		int err;                                                       \
                                                                               \
		if (!is_file(fd))                                              \
			return REAL(name)(fd);                                 \
		pthread_mutex_lock(&lock);                                     \
		err = REAL(name)(fd);                                          \
		if (!err)                                                      \
			note(SYNC, names[fd], 0, 0, NULL);                     \
		pthread_mutex_unlock(&lock);                                   \
		return err;                                                    \
	}
SYNC_BY(fsync)
SYNC_BY(fdatasync)

#define TRUNCATE_BY(name)                                                      \
	int name(int fd, off_t size)                                           \
	{                                                                      \
		int err;                                                       \
                                                                               \
		if (!is_file(fd))                                              \
			return REAL(name)(fd, size);                           \
		pthread_mutex_lock(&lock);                                     \
		err = REAL(name)(fd, size);                                    \
		if (!err)                                                      \
			note(TRUNCATE, names[fd], (uint64_t)size, 0, NULL);    \
		pthread_mutex_unlock(&lock);                                   \
		return err;                                                    \
	}
TRUNCATE_BY(ftruncate)
TRUNCATE_BY(ftruncate64)

int unlink(const char *path)
{
	const char *suffix;
	int err;

	pthread_mutex_lock(&lock);
	err = REAL(unlink)(path);
	if (!err && is_watched(path, &suffix))
		note(UNLINK, suffix, 0, 0, NULL);
	pthread_mutex_unlock(&lock);
	return err;
}
