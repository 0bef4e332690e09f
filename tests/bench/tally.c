/*
 * Bench: what is allocated, by whom
 *
 * A library that is loaded into sbcd ahead of its own (LD_PRELOAD) and asks
 * jemalloc, which knows the stack behind each allocation when it runs with
 * MALLOC_CONF=prof:true,lg_prof_sample:0. At SIGRTMIN it writes
 *
 *   $TALLY.N.heap   jemalloc's list of what is allocated now, by stack; only
 *                   where profiling is on
 *   $TALLY.N.size   bytes allocated, and in pages with something in them;
 *                   pages without go back to the kernel first, so that what is
 *                   resident is what is used
 *
 * for N = 0, 1, 2 ... A thread of its own waits for the signal, which the
 * constructor blocks before there is any other thread.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jemalloc/jemalloc.h>

#define TEXT_OF(x) #x
#define ALL_OF(x)  "arena." TEXT_OF(x) ".purge"
#define PURGE      ALL_OF(MALLCTL_ARENAS_ALL)

static sigset_t asked;
static const char *where;

static size_t figure(const char *name)
{
	size_t value = 0, size = sizeof(value);

	(void)mallctl(name, &value, &size, NULL, 0);
	return value;
}

/* The file has its name only when it is whole */
static void sizes_write(unsigned n)
{
	char name[512], part[520];
	uint64_t epoch = 1;
	size_t size = sizeof(epoch);
	FILE *f;

	(void)mallctl(PURGE, NULL, NULL, NULL, 0);
	(void)mallctl("epoch", &epoch, &size, &epoch, size);
	snprintf(name, sizeof(name), "%s.%u.size", where, n);
	snprintf(part, sizeof(part), "%s.part", name);
	f = fopen(part, "w");
	if (!f)
		return;
	fprintf(f, "%zu %zu\n", figure("stats.allocated"),
		figure("stats.active"));
	fclose(f);
	rename(part, name);
}

static void *wait(void *arg)
{
	char name[512];
	const char *heap = name;
	int got;

	for (unsigned n = 0; sigwait(&asked, &got) == 0; n++) {
		snprintf(name, sizeof(name), "%s.%u.heap", where, n);
		/* ENOENT: profiling is off */
		(void)mallctl("prof.dump", NULL, NULL, &heap, sizeof(heap));
		sizes_write(n);
	}
	return arg;
}

__attribute__((constructor)) static void begin(void)
{
	pthread_t thread;

	where = getenv("TALLY");
	if (!where)
		return;
	sigemptyset(&asked);
	sigaddset(&asked, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &asked, NULL);
	if (pthread_create(&thread, NULL, wait, NULL) == 0)
		pthread_detach(thread);
	unsetenv("LD_PRELOAD"); /* not for what sbcd starts */
}
