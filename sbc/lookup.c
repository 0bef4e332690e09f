/*
 * Ask DNS for many names at once, on a loop of its own
 *
 * A thread with loop and wheel lives as long as the questions. It opens a
 * resolver of its own, so its cache is empty: what is told is what DNS says now.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include <re_main.h>
#include "store/elements/elements.h"
#include "store/number.h"
#include "realms/realms.h"
#include "sbc/lookup.h"
#include "sbc/resolver.h"
#include "sbc/timer.h"

enum {
	DESCRIPTORS = 4096,
	AT_ONCE = 128, /* questions under way */
	EACH = 2,      /* [s] */
	ALL = 10000    /* [ms] */
};

struct lookup;

/* A question under way */
struct wait {
	struct lookup *l;
	struct outside_name *name;
};

struct lookup {
	const struct config *cfg;
	struct realms *realms;
	struct resolver *resolver;
	struct outside_name *v;
	struct wait *waits; /* one for each name */
	size_t n, next, under_way;
	struct timer end;
	int err;
};

static void ask_more(struct lookup *l);

static void targets_take(struct outside_name *name,
			 const struct resolved *found)
{
	name->answer = OUTSIDE_FOUND;
	for (uint32_t i = 0; i < found->n && name->n < OUTSIDE_TARGETS; i++)
		name->targets[name->n++] = found->addr[i];
}

/* No sip-port of the realm fits: the name is there all the same */
static void answer_take(struct outside_name *name, int err,
			const struct resolved *found)
{
	switch (err) {

	case 0:
		targets_take(name, found);
		break;
	case ENOENT:
		name->answer = OUTSIDE_NONE;
		break;
	case EAFNOSUPPORT:
		name->answer = OUTSIDE_FOUND;
		break;
	default: /* an errno: no answer */
		name->answer = OUTSIDE_SILENT;
		break;
	}
}

static void answered(int err, const struct resolved *found, void *arg)
{
	struct wait *wait = arg;
	struct lookup *l = wait->l;

	answer_take(wait->name, err, found);
	l->under_way--;
	ask_more(l);
}

static void ask_one(struct lookup *l, size_t i)
{
	struct outside_name *name = &l->v[i];
	struct resolve_query q = {
		.realm = l->realms ? realm_named(l->realms, name->realm) : NULL,
		.host = range_of(name->name),
		.port = (uint16_t)name->port,
		.transport = TRANSPORT_NONE,
	};
	struct resolve *pending = NULL;
	struct resolved found;
	int err;

	l->waits[i].l = l;
	l->waits[i].name = name;
	err = resolve(&pending, l->resolver, &q, &found, answered,
		      &l->waits[i]);
	if (err == EINPROGRESS)
		l->under_way++;
	else
		answer_take(name, err, &found);
}

static void ask_more(struct lookup *l)
{
	while (l->next < l->n && l->under_way < AT_ONCE)
		ask_one(l, l->next++);
	if (!l->under_way)
		re_cancel();
}

static void time_over(void *arg)
{
	(void)arg;
	re_cancel();
}

static void begin(void *arg)
{
	ask_more(arg);
}

static int ground_open(void)
{
	int err = re_thread_init();

	if (err)
		return err;
	err = fd_setsize(DESCRIPTORS);
	if (!err)
		err = wheel_open();
	if (err)
		re_thread_close();
	return err;
}

static void *lookup_main(void *arg)
{
	struct lookup *l = arg;
	struct system_config system =
		*(const struct system_config *)config_single(
			l->cfg, &element_system_config);
	struct resolver_setup setup = { &system, l->realms };
	struct timer first = { 0 };

	l->err = ground_open();
	if (l->err)
		return NULL;

	system.dns_timeout = EACH;
	l->err = resolver_open(&l->resolver, &setup);
	if (!l->err) {
		timer_start(&first, 0, begin, l);
		timer_start(&l->end, ALL, time_over, l);
		(void)re_main(NULL);
		timer_cancel(&l->end);
		/* Names that wait still stay silent */
		resolver_close(l->resolver);
	}
	wheel_close();
	re_thread_close();
	return NULL;
}

/* A thread inherits the mask, so no signal finds it without one */
static int thread_run(struct lookup *l)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, lookup_main, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return err;
	(void)pthread_setname_np(thread, "lookup"); /* for top only */
	pthread_join(thread, NULL);
	return l->err;
}

int lookup_names(const struct config *cfg, struct outside_name *v, size_t n)
{
	struct lookup l = { .cfg = cfg, .v = v, .n = n };
	int err;

	for (size_t i = 0; i < n; i++) {
		v[i].answer = OUTSIDE_SILENT;
		v[i].n = 0;
	}
	/* Parents in a circle: the rules say so; DNS is asked as for no realm */
	err = realms_alloc(&l.realms, cfg);
	l.waits = calloc(n + 1, sizeof(*l.waits));
	if (err == ENOMEM || !l.waits)
		err = ENOMEM;
	else
		err = thread_run(&l);
	mem_deref(l.realms);
	free(l.waits);
	return err;
}
