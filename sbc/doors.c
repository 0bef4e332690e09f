/*
 * The sip-ports of a worker: opened for a plan, kept, drained
 *
 * A sip-port is known by address, port and transport; the realm behind it may
 * change without a word to its sockets. Legs and transactions hold a reference
 * of the sip-port they use, so the one of this file is the last when nothing
 * uses it any more: that ends the draining.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/hash.h"
#include "store/log.h"
#include "store/number.h"
#include "sbc/alarm.h"
#include "sbc/doors.h"
#include "sbc/methods.h"
#include "sbc/timer.h"

enum {
	RECEIVE_BUFFER = 4 << 20, /* libre.md: the default loses bursts */
	LOOK = 1000,              /* at what is drained [ms] */
	WATCH = 1000,             /* some of those that are open [ms] */
	WATCHED = 16,             /* ... so many at a time */
	NAME = 80,                /* "192.0.2.1:5060/UDP" */
	LARGE = 1300 /* of a request for UDP, when nothing is configured [bytes] */
};
#define CLOSED UINT32_MAX /* number of a sip-port without endpoint */

struct door {
	struct le le;
	struct port *port;
	_Atomic uint32_t *users; /* workers that have it; free with the last */
	bool listens;            /* this worker does */
	bool wanted;             /* by the plan that is prepared */
	bool fresh;              /* opened for it */
	bool drained;            /* the running plan has it not */
	bool down;               /* the alarm is up */
};

struct doors {
	struct worker *worker;
	struct doors_handlers handlers;
	struct list all; /* struct door */
	uint32_t drained_n;
	struct timer look;
	struct timer watch;
	uint32_t watched;        /* sip-ports that were tried, in a round */
	const struct plan *plan; /* being prepared */
	struct port **ports;     /* by its endpoints */
};

/* Connections are all of one worker, and so is what registers over them */
static bool listens(const struct worker *w, const struct endpoint *e)
{
	uint32_t n = w->crew ? w->crew->n : 1;
	uint64_t hash;

	if (n == 1 || e->transport != TRANSPORT_UDP)
		return w->number == 0;
	hash = sa_af(&e->local) == AF_INET
		       ? hash_mix(hash_bytes(&e->local.u.in.sin_addr, 4),
				  sa_port(&e->local))
		       : hash_mix(hash_bytes(&e->local.u.in6.sin6_addr, 16),
				  sa_port(&e->local));

	return w->number == hash % n;
}

static struct door *door_at(const struct doors *doors, const struct sa *local,
			    enum transport transport)
{
	for (struct le *le = list_head(&doors->all); le; le = le->next) {
		struct door *door = le->data;

		if (port_transport(door->port) == transport &&
		    sa_cmp(port_local(door->port), local, SA_ALL))
			return door;
	}
	return NULL;
}

static struct door *door_find(const struct doors *doors,
			      const struct endpoint *e)
{
	return door_at(doors, &e->local, e->transport);
}

static void door_name(char name[NAME], const struct door *door)
{
	(void)re_snprintf(name, NAME, "%J/%s", port_local(door->port),
			  transport_name(port_transport(door->port)));
}

static void door_destructor(void *arg)
{
	struct door *door = arg;
	char name[NAME];

	if (door->down) {
		door_name(name, door);
		alarm_clear("sip-port-down", name);
	}
	list_unlink(&door->le);
	port_close(door->port);
	if (door->users && atomic_fetch_sub(door->users, 1) == 1)
		free(door->users);
}

static void port_setup_of(struct port_setup *setup, const struct plan *plan,
			  const struct endpoint *e)
{
	memset(setup, 0, sizeof(*setup));
	setup->endpoint = e;
	setup->message_max = plan->sip->sip_message_len;
	setup->idle = plan->sip->inactive_dynamic_conn;
	setup->receive_buffer = RECEIVE_BUFFER;
	setup->user_agent = e->interface->user_agent;
}

/* The first to have it counts those who have */
static int users_take(struct door *door, const struct doors_shared *shared)
{
	door->users = shared->users;
	if (!door->users)
		door->users = calloc(1, sizeof(*door->users));
	if (!door->users)
		return ENOMEM;
	atomic_fetch_add(door->users, 1);

	return 0;
}

static int door_open(struct door **doorp, struct doors *doors,
		     const struct endpoint *e,
		     const struct doors_shared *shared)
{
	struct door *door = mem_zalloc(sizeof(*door), door_destructor);
	struct port_setup setup;
	int err;

	if (!door)
		return ENOMEM;

	door->listens = listens(doors->worker, e);
	port_setup_of(&setup, doors->plan, e);
	setup.elsewhere = !door->listens;
	setup.fd = shared->fd;
	err = users_take(door, shared);
	if (!err)
		err = port_open(&door->port, &setup, doors->handlers.arrival,
				doors->worker);
	if (err) {
		mem_deref(door);
		return err;
	}

	port_renumber(door->port, CLOSED);
	port_lost_handler(door->port, doors->handlers.lost, doors->worker);
	port_refused_handler(door->port, doors->handlers.refused,
			     doors->handlers.refused_arg);
	port_keepalive_handler(door->port, doors->handlers.keepalive,
			       doors->worker);
	port_terms_handler(door->port, doors->handlers.terms, doors->worker);
	port_elsewhere_handler(door->port, doors->handlers.elsewhere,
			       doors->worker);
	door->fresh = true;
	list_append(&doors->all, &door->le, door);
	*doorp = door;
	return 0;
}

static int endpoint_prepare(struct doors *doors, uint32_t i,
			    const struct doors_shared *shared, char *why)
{
	const struct endpoint *e = &doors->plan->realms->endpoints[i];
	struct door *door = door_find(doors, e);
	int err = door ? 0 : door_open(&door, doors, e, shared);

	if (err) {
		(void)re_snprintf(why, DOORS_WHY,
				  "sip-port %J/%s of sip-interface [%s] cannot "
				  "be opened: %s",
				  &e->local, transport_name(e->transport),
				  e->interface->realm_id, strerror(err));
		return err;
	}
	door->wanted = true;
	doors->ports[i] = door->port;
	return 0;
}

static void show(struct doors_shared *shared, const struct door *door)
{
	shared->fd = port_fd(door->port);
	shared->users = door->users;
}

static void done(struct doors *doors)
{
	plan_give(doors->plan);
	doors->plan = NULL;
	doors->ports = mem_deref(doors->ports);
	for (struct le *le = list_head(&doors->all); le; le = le->next) {
		struct door *door = le->data;

		door->wanted = door->fresh = false;
	}
}

int doors_prepare(struct doors *doors, const struct plan *plan,
		  struct doors_shared *shared, char *why)
{
	uint32_t n = plan->realms->endpoints_n;
	int err = 0;

	assert(!doors->plan);
	doors->ports = mem_zalloc((n + 1) * sizeof(*doors->ports), NULL);
	if (!doors->ports) {
		snprintf(why, DOORS_WHY, "no memory");
		return ENOMEM;
	}
	doors->plan = plan_take(plan);
	for (uint32_t i = 0; i < n && !err; i++) {
		const struct endpoint *e = &plan->realms->endpoints[i];

		if (!listens(doors->worker, e))
			continue;
		err = endpoint_prepare(doors, i, &shared[i], why);
		if (!err)
			show(&shared[i], door_find(doors, e));
	}
	if (err)
		doors_abandon(doors);
	return err;
}

int doors_join(struct doors *doors, const struct doors_shared *shared,
	       char *why)
{
	uint32_t n = doors->plan->realms->endpoints_n;
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++) {
		if (!doors->ports[i])
			err = endpoint_prepare(doors, i, &shared[i], why);
	}

	return err;
}

void doors_abandon(struct doors *doors)
{
	struct le *le = list_head(&doors->all);

	while (le) {
		struct door *door = le->data;

		le = le->next;
		if (door->fresh)
			mem_deref(door);
	}
	done(doors);
}

static void door_say(const struct door *door, const char *event)
{
	char text[NAME];

	door_name(text, door);
	log_info(SIPD, event, "sip-port=%s", text);
}

static void door_keep(struct doors *doors, struct door *door)
{
	if (door->drained)
		doors->drained_n--;
	door->drained = false;
	if (door->fresh && door->listens)
		door_say(door, "port-open");
}

static void door_drain(struct doors *doors, struct door *door)
{
	if (door->drained)
		return;
	doors->drained_n++;
	door->drained = true;
	port_renumber(door->port, CLOSED);
	if (door->listens)
		door_say(door, "port-drain");
}

/* Nobody but us holds it: nothing is under way there any more. Who listens does it
 * for the others to the end */
static bool is_unused(const struct door *door)
{
	return mem_nrefs(door->port) == 1 &&
	       (!door->listens || atomic_load(door->users) == 1);
}

static void look(void *arg)
{
	struct doors *doors = arg;
	struct le *le = list_head(&doors->all);

	while (le) {
		struct door *door = le->data;

		le = le->next;
		if (!door->drained || !is_unused(door))
			continue;
		doors->drained_n--;
		if (door->listens)
			door_say(door, "port-close");
		mem_deref(door);
	}
	if (doors->drained_n)
		timer_start(&doors->look, LOOK, look, doors);
}

/* --- Are they still there? ------------------------------------------------ */

/* A socket whose address was taken from the machine says nothing by itself: it
 * only hears no more */
static void door_watch(struct door *door)
{
	int err = door->listens ? port_check(door->port) : 0;
	char name[NAME];

	if (!err == !door->down)
		return;
	door->down = err != 0;
	door_name(name, door);
	if (err)
		alarm_raise("sip-port-down", ALARM_CRITICAL, name,
			    "the machine does not have this address any more");
	else
		alarm_clear("sip-port-down", name);
}

static void watch(void *arg)
{
	struct doors *doors = arg;
	struct le *le = list_head(&doors->all);
	uint32_t n = 0;

	for (; le && n < doors->watched; n++)
		le = le->next;
	for (n = 0; le && n < WATCHED; n++, le = le->next)
		door_watch(le->data);
	doors->watched = le ? doors->watched + n : 0;
	timer_start(&doors->watch, WATCH, watch, doors);
}

/* Sip-ports that are drained, or closed, lead nowhere */
static void beside_none(struct doors *doors)
{
	for (struct le *le = list_head(&doors->all); le; le = le->next)
		port_beside_set(((struct door *)le->data)->port, NULL, 0);
}

/* From how many bytes on a request shall not go by UDP; 0: from none on. What the
 * sip-interface says wins */
static uint32_t large_from(const struct plan *plan, const struct endpoint *e)
{
	uint64_t n = LARGE;
	struct pl value;

	if ((!option_get(&e->interface->options, "max-udp-length", &value) ||
	     !option_get(&plan->sip->options, "max-udp-length", &value)) &&
	    uint_parse(&n, &value, UINT32_MAX))
		n = LARGE;

	return (uint32_t)n;
}

/* RFC 3261 18.1.1: beside each sip-port for UDP stands the first one of its realm
 * for TCP */
static void beside_all(struct doors *doors)
{
	const struct realms *realms = doors->plan->realms;

	beside_none(doors);
	for (uint32_t i = 0; i < realms->endpoints_n; i++) {
		const struct endpoint *e = &realms->endpoints[i], *stream;

		if (e->transport != TRANSPORT_UDP)
			continue;
		stream = realm_endpoint(e->realm, &e->local, TRANSPORT_TCP);
		if (stream)
			port_beside_set(doors->worker->ports[i],
					doors->worker->ports[stream->number],
					large_from(doors->plan, e));
	}
}

void doors_commit(struct doors *doors)
{
	struct worker *w = doors->worker;
	uint32_t n = doors->plan->realms->endpoints_n;

	for (struct le *le = list_head(&doors->all); le; le = le->next) {
		struct door *door = le->data;

		if (door->wanted)
			door_keep(doors, door);
		else
			door_drain(doors, door);
	}

	mem_deref(w->ports);
	w->ports = doors->ports;
	w->ports_n = n;
	doors->ports = NULL;
	/* What a plan says of its sip-ports holds for those that stay, too */
	for (uint32_t i = 0; i < n; i++) {
		struct port_setup setup;

		port_setup_of(&setup, doors->plan,
			      &doors->plan->realms->endpoints[i]);
		port_change(w->ports[i], &setup);
		port_renumber(w->ports[i], i);
		port_serve(
			w->ports[i], setup.endpoint->interface->realm_id,
			w->methods
				? methods_of(
					  w->methods,
					  setup.endpoint->interface->realm_id)
				: NULL);
	}
	beside_all(doors);
	done(doors);
	if (doors->drained_n)
		timer_start(&doors->look, LOOK, look, doors);
}

uint32_t doors_drained(const struct doors *doors)
{
	return doors->drained_n;
}

static void doors_destructor(void *arg)
{
	struct doors *doors = arg;

	timer_cancel(&doors->look);
	timer_cancel(&doors->watch);
	done(doors);
	beside_none(doors);
	list_flush(&doors->all);
	doors->worker->ports = mem_deref(doors->worker->ports);
	doors->worker->ports_n = 0;
}

int doors_open(struct doors **doorsp, struct worker *w,
	       const struct doors_handlers *handlers)
{
	struct doors *doors = mem_zalloc(sizeof(*doors), doors_destructor);

	if (!doors)
		return ENOMEM;

	doors->worker = w;
	doors->handlers = *handlers;
	timer_start(&doors->watch, WATCH, watch, doors);
	*doorsp = doors;
	return 0;
}

void doors_close(struct doors *doors)
{
	mem_deref(doors);
}

struct port *doors_port(const struct doors *doors, const struct sa *local,
			enum transport transport)
{
	const struct door *door = door_at(doors, local, transport);

	return door ? door->port : NULL;
}

struct port *worker_port(const struct worker *w, const struct endpoint *e)
{
	const struct door *door;

	if (!e)
		return NULL;
	if (w->plan && e->number < w->ports_n &&
	    e == &w->plan->realms->endpoints[e->number])
		return w->ports[e->number];

	/* Of the plan that a call began with */
	door = w->doors ? door_find(w->doors, e) : NULL;
	return door ? door->port : NULL;
}
