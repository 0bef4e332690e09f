/*
 * Bench: how long the turns of the loops are, and what was done in the longest
 *
 * A library that is loaded into sbcd ahead of its own (LD_PRELOAD). A turn is
 * what a thread does between two calls of epoll_wait that may wait; a look
 * without waiting (sbc/intake) is part of the turn. At SIGRTMIN it writes
 *
 *   $TURNS.N   a line for each thread that has a loop: its name; number of turns
 *              since the last time; the longest by processor time and the
 *              longest by the clock [us]; where it was after $TURNS_LIMIT ms of
 *              the longest that took so long: addresses of sbcd as +0x1234,
 *              names of libraries' functions, innermost first
 *
 * for N = 0, 1, 2 ... and begins anew. A thread of its own waits for the signal,
 * which the constructor blocks before there is any other thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	THREADS = 64,
	DEPTH = 32,
	LIMIT = 15 /* [ms], unless TURNS_LIMIT says otherwise */
};

struct loop {
	pthread_mutex_t lock; /* of what the writer reads */
	pid_t thread;
	uint64_t turns, cpu, wall; /* the longest [us] */
	void *longest[DEPTH];
	int longest_n;

	/* the thread's own */
	timer_t watch;
	bool watched, in_turn;
	uint64_t cpu_from, wall_from;
	void *stack[DEPTH];
	volatile int stack_n;
};

static struct loop loops[THREADS];
static unsigned loops_n;
static pthread_mutex_t loops_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct loop *mine;
static _Thread_local bool refused;

static sigset_t asked;
static const char *where;
static long limit = LIMIT;
static int (*next_wait)(int, struct epoll_event *, int, int);

static uint64_t us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* In the thread itself, in the middle of a long turn */
static void look(int sig)
{
	(void)sig;
	if (mine && mine->in_turn && !mine->stack_n)
		mine->stack_n = backtrace(mine->stack, DEPTH);
}

static void watch_set(struct loop *l, long ms)
{
	const struct itimerspec at = { .it_value = { ms / 1000,
						     ms % 1000 * 1000000 } };

	if (l->watched)
		timer_settime(l->watch, 0, &at, NULL);
}

static struct loop *loop_of_thread(void)
{
	struct sigevent to = { .sigev_notify = SIGEV_THREAD_ID,
			       .sigev_signo = SIGPROF };
	struct loop *l = NULL;
	sigset_t prof;

	pthread_mutex_lock(&loops_lock);
	if (loops_n < THREADS)
		l = &loops[loops_n];
	if (l) {
		pthread_mutex_init(&l->lock, NULL);
		l->thread = (pid_t)syscall(SYS_gettid);
		++loops_n;
	}
	pthread_mutex_unlock(&loops_lock);
	refused = !l;
	if (!l)
		return NULL;

	sigemptyset(&prof);
	sigaddset(&prof, SIGPROF);
	pthread_sigmask(SIG_UNBLOCK, &prof, NULL);
	to._sigev_un._tid = l->thread;
	l->watched = !timer_create(CLOCK_THREAD_CPUTIME_ID, &to, &l->watch);

	return l;
}

static void turn_ends(struct loop *l)
{
	uint64_t cpu = us(CLOCK_THREAD_CPUTIME_ID) - l->cpu_from;
	uint64_t wall = us(CLOCK_MONOTONIC) - l->wall_from;

	l->in_turn = false;
	watch_set(l, 0);
	pthread_mutex_lock(&l->lock);
	++l->turns;
	if (wall > l->wall)
		l->wall = wall;
	if (cpu > l->cpu) {
		l->cpu = cpu;
		l->longest_n = l->stack_n;
		memcpy(l->longest, l->stack,
		       (size_t)l->stack_n * sizeof(*l->stack));
	}
	pthread_mutex_unlock(&l->lock);
}

static void turn_begins(struct loop *l)
{
	l->stack_n = 0;
	l->wall_from = us(CLOCK_MONOTONIC);
	l->cpu_from = us(CLOCK_THREAD_CPUTIME_ID);
	l->in_turn = true;
	watch_set(l, limit);
}

int epoll_wait(int fd, struct epoll_event *events, int n, int ms)
{
	int got;

	if (!where || !ms)
		return next_wait(fd, events, n, ms);

	if (!mine && !refused)
		mine = loop_of_thread();
	else if (mine)
		turn_ends(mine);
	got = next_wait(fd, events, n, ms);
	if (mine)
		turn_begins(mine);

	return got;
}

/* --- Writing -------------------------------------------------------------- */

static void address_write(FILE *f, const void *address, const void *program)
{
	Dl_info at;

	if (!dladdr(address, &at))
		fprintf(f, " ?");
	else if (at.dli_fbase == program)
		fprintf(f, " +0x%lx",
			(unsigned long)((const char *)address -
					(const char *)at.dli_fbase));
	else
		fprintf(f, " %s", at.dli_sname ? at.dli_sname : "?");
}

static void loop_write(FILE *f, struct loop *l, const void *program)
{
	void *stack[DEPTH];
	char path[64], name[32] = "?";
	uint64_t turns, cpu, wall;
	FILE *comm;
	int n;

	pthread_mutex_lock(&l->lock);
	turns = l->turns;
	cpu = l->cpu;
	wall = l->wall;
	n = l->longest_n;
	memcpy(stack, l->longest, sizeof(stack));
	l->turns = l->cpu = l->wall = 0;
	l->longest_n = 0;
	pthread_mutex_unlock(&l->lock);

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", l->thread);
	comm = fopen(path, "r");
	if (comm) {
		if (fgets(name, sizeof(name), comm))
			name[strcspn(name, "\n")] = '\0';
		fclose(comm);
	}
	fprintf(f, "%s %llu %llu %llu", name, (unsigned long long)turns,
		(unsigned long long)cpu, (unsigned long long)wall);
	for (int i = 0; i < n; i++)
		address_write(f, stack[i], program);
	fprintf(f, "\n");
}

/* The file has its name only when it is whole */
static void loops_write(unsigned number)
{
	char name[512], part[520];
	const void *program = (const void *)getauxval(AT_PHDR); /* within */
	Dl_info at = { .dli_fbase = NULL };
	unsigned n;
	FILE *f;

	if (program)
		(void)dladdr(program, &at);
	snprintf(name, sizeof(name), "%s.%u", where, number);
	snprintf(part, sizeof(part), "%s.part", name);
	f = fopen(part, "w");
	if (!f)
		return;
	pthread_mutex_lock(&loops_lock);
	n = loops_n;
	pthread_mutex_unlock(&loops_lock);
	for (unsigned i = 0; i < n; i++)
		loop_write(f, &loops[i], at.dli_fbase);
	fclose(f);
	rename(part, name);
}

static void *wait_for_signal(void *arg)
{
	int got;

	for (unsigned n = 0; sigwait(&asked, &got) == 0; n++)
		loops_write(n);
	return arg;
}

__attribute__((constructor)) static void begin(void)
{
	const struct sigaction on = { .sa_handler = look,
				      .sa_flags = SA_RESTART };
	const char *ms = getenv("TURNS_LIMIT");
	pthread_t thread;
	void *unused[2];

	*(void **)&next_wait = dlsym(RTLD_NEXT, "epoll_wait");
	where = getenv("TURNS");
	if (!where)
		return;
	if (ms)
		limit = strtol(ms, NULL, 10);
	(void)backtrace(unused, 2); /* loads what it needs now */
	sigaction(SIGPROF, &on, NULL);
	sigemptyset(&asked);
	sigaddset(&asked, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &asked, NULL);
	if (pthread_create(&thread, NULL, wait_for_signal, NULL) == 0)
		pthread_detach(thread);
	unsetenv("LD_PRELOAD"); /* not for what sbcd starts */
}
