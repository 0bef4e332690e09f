/*
 * The code of the program in pages of 2 MiB
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sbc/image.h"

#ifndef MADV_COLLAPSE /* Linux 6.1, glibc 2.37 */
#define MADV_COLLAPSE 25
#endif

enum {
	LARGE = 2 << 20 /* [bytes] */
};

struct code {
	uintptr_t start;
	size_t size;  /* of the code */
	size_t whole; /* of the pages that it takes */
};

static size_t pages(size_t n)
{
	return (n + LARGE - 1) / LARGE * LARGE;
}

/* Nothing else may lie in the pages that the code takes */
static bool is_alone(const struct dl_phdr_info *info, const struct code *code)
{
	size_t n = 0;

	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		const uintptr_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && from < code->start + code->whole &&
		    from + p->p_memsz > code->start)
			n++;
	}

	return n == 1;
}

/* The first that is told is the program itself */
static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct code *code = arg;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		code->start = info->dlpi_addr + p->p_vaddr;
		code->size = p->p_memsz;
		code->whole = pages(p->p_memsz);
		break;
	}
	if (code->start % LARGE || !is_alone(info, code))
		code->size = 0;

	return 1;
}

static int copy(int fd, const struct code *code)
{
	size_t done = 0;

	if (ftruncate(fd, (off_t)code->whole))
		return errno;
	while (done < code->size) {
		ssize_t n = pwrite(fd, (const char *)code->start + done,
				   code->size - done, (off_t)done);

		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0)
			done += (size_t)n;
	}

	return fcntl(fd, F_ADD_SEALS,
		     F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
		       ? errno
		       : 0;
}

/* A place where nothing is, as large as the code's and as well aligned */
static void *room_take(void **room, const struct code *code)
{
	*room = mmap(NULL, code->whole + LARGE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return *room == MAP_FAILED ? NULL : (void *)(pages((uintptr_t)*room));
}

static int map(void *at, int fd, const struct code *code)
{
	if (mmap(at, code->whole, PROT_READ | PROT_EXEC,
		 MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
		return errno;

	return madvise(at, code->whole, MADV_COLLAPSE) ? errno : 0;
}

/* Elsewhere first: a kernel that cannot do it shall not leave us in small pages
 * of memory instead of those of the file. Then the same bytes come where the
 * code is: this function goes on in the new ones */
static int replace(int fd, const struct code *code)
{
	void *room, *at = room_take(&room, code);
	int err;

	if (!at)
		return ENOMEM;
	err = map(at, fd, code);
	if (!err)
		err = map((void *)code->start, fd, code);
	(void)munmap(room, code->whole + LARGE);

	return err;
}

int image_enlarge(void)
{
	struct code code = { 0 };
	int fd, err;

	(void)dl_iterate_phdr(find, &code);
	if (!code.size)
		return ENOTSUP;

	fd = memfd_create("sbcd code", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return errno;
	err = copy(fd, &code);
	if (!err)
		err = replace(fd, &code);
	(void)close(fd);

	return err;
}
