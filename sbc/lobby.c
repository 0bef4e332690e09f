/*
 * New requests of a busy thread, served behind what belongs to calls
 *
 * Strangers stand behind the others. The lobby is left at the end of the turn in
 * which somebody came; when that is too early, or too much, by timer.
 */
#include <errno.h>
#include "store/hash.h"
#include "sbc/clock.h"
#include "sbc/intake.h"
#include "sbc/lobby.h"
#include "sbc/timer.h"
#include "sbc/turn.h"

enum {
	REFUSED_MAX = 16384, /* keys remembered; a newer one takes the place */
	REFUSED_TIME = 32000 /* 64*T1: nobody repeats for longer [ms] */
};

struct guest {
	struct le le;
	struct entry entry; /* of lobby->guests */
	struct lobby *lobby;
	struct arrival from;
	const struct message *msg;
	uint64_t since; /* [ms] */
};

struct lobby {
	struct list known, strangers; /* struct guest */
	struct table guests;          /* by key_of */
	uint32_t n;
	uint64_t behind;  /* what was read at this moment was late [ms] */
	uint64_t *keys;   /* of requests turned away; NULL: none yet */
	uint64_t refused; /* the last of them [ms] */
	struct deferred turn;
	struct timer timer;
	bool serving;
	lobby_h *h;
	void *arg;
};

/* A request, its repetitions and its CANCEL have one (RFC 3261 17.2.3). No two
 * ports, so that no tenant names a request of another */
static uint64_t key_of(const struct arrival *from, const struct message *msg)
{
	uint64_t key = hash_mix(hash_bytes(msg->branch.p, msg->branch.l),
				hash_bytes(msg->callid.p, msg->callid.l));

	key = hash_mix(key, hash_bytes(msg->from_tag.p, msg->from_tag.l));
	return hash_mix(hash_mix(key, msg->cseq),
			(uint64_t)(uintptr_t)from->port);
}

static void guest_destructor(void *data)
{
	struct guest *g = data;

	list_unlink(&g->le);
	table_remove(&g->lobby->guests, &g->entry);
	mem_deref(g->from.port);
	mem_deref((void *)(uintptr_t)g->msg);
}

static struct guest *first(const struct lobby *l)
{
	struct le *le = l->known.head ? l->known.head : l->strangers.head;

	return le ? le->data : NULL;
}

static void serve(struct lobby *l, struct guest *g, uint64_t now)
{
	list_unlink(&g->le);
	table_remove(&l->guests, &g->entry);
	l->n--;
	l->h(&g->from, g->msg, now >= g->since + LOBBY_LATE, l->arg);
	mem_deref(g);
}

/* More is to be read, and what was read last had waited long */
static bool is_behind(const struct lobby *l, uint64_t now)
{
	return intake_has_more() && l->behind && now < l->behind + LOBBY_WAIT;
}

static bool has_waited(const struct list *list, uint64_t now)
{
	const struct guest *g = list->head ? list->head->data : NULL;

	return g && now >= g->since + LOBBY_WAIT;
}

static void look(void *arg)
{
	struct lobby *l = arg;
	uint64_t begun = clock_ms(), now = begun;
	struct guest *g;

	if (l->serving)
		return;

	l->serving = true;
	if (!intake_has_more() ||
	    (!is_behind(l, now) &&
	     (has_waited(&l->known, now) || has_waited(&l->strangers, now)))) {
		while ((g = first(l)) && now < begun + LOBBY_TIME) {
			serve(l, g, now);
			now = clock_ms();
		}
		/* nobody waits for ever behind those who are known */
		if (has_waited(&l->strangers, now))
			serve(l, l->strangers.head->data, now);
	}
	l->serving = false;
	if (l->n)
		timer_start(&l->timer, 1, look, l);
	else
		timer_cancel(&l->timer);
}

static void turn_ends(struct deferred *d)
{
	look((char *)d - offsetof(struct lobby, turn));
}

static void lobby_destructor(void *data)
{
	struct lobby *l = data;

	timer_cancel(&l->timer);
	turn_forget(&l->turn);
	list_flush(&l->known);
	list_flush(&l->strangers);
	table_finish(&l->guests);
	mem_deref(l->keys);
}

int lobby_alloc(struct lobby **lp, lobby_h *h, void *arg)
{
	struct lobby *l = mem_zalloc(sizeof(*l), lobby_destructor);

	if (!l)
		return ENOMEM;
	table_init(&l->guests);
	l->turn.run = turn_ends;
	l->h = h;
	l->arg = arg;
	*lp = l;
	return 0;
}

static bool is_same(const struct entry *e, const void *key)
{
	return e->hash == *(const uint64_t *)key;
}

static struct guest *find(const struct lobby *l, uint64_t key)
{
	struct entry *e = table_find(&l->guests, key, is_same, &key);

	return e ? (struct guest *)((char *)e - offsetof(struct guest, entry))
		 : NULL;
}

bool lobby_has(const struct lobby *l, const struct arrival *from,
	       const struct message *msg)
{
	return l->n && find(l, key_of(from, msg));
}

int lobby_put(struct lobby *l, const struct arrival *from,
	      const struct message *msg, bool is_stranger)
{
	uint64_t now = clock_ms();
	struct guest *g;

	l->behind = from->age > LOBBY_WAIT ? now : 0;
	if (l->n >= LOBBY_MAX)
		return ENOBUFS;
	g = mem_zalloc(sizeof(*g), guest_destructor);
	if (!g)
		return ENOMEM;

	g->lobby = l;
	if (table_add(&l->guests, &g->entry, key_of(from, msg))) {
		mem_deref(g);
		return ENOMEM;
	}
	g->from = *from;
	mem_ref(g->from.port);
	g->msg = mem_ref((void *)(uintptr_t)msg);
	g->since = now;
	list_append(is_stranger ? &l->strangers : &l->known, &g->le, g);
	l->n++;
	turn_defer(&l->turn);
	return 0;
}

void lobby_serve(struct lobby *l, const struct arrival *from,
		 const struct message *cancel)
{
	struct guest *g = l->n ? find(l, key_of(from, cancel)) : NULL;

	if (g)
		serve(l, g, g->since);
}

void lobby_turned_away(struct lobby *l, const struct arrival *from,
		       const struct message *msg)
{
	uint64_t key = key_of(from, msg);

	if (!l->keys)
		l->keys = mem_zalloc(REFUSED_MAX * sizeof(*l->keys), NULL);
	if (!l->keys)
		return;
	l->keys[key % REFUSED_MAX] = key;
	l->refused = clock_ms();
}

bool lobby_remembers(const struct lobby *l, const struct arrival *from,
		     const struct message *msg)
{
	uint64_t key;

	if (!l->keys || clock_ms() >= l->refused + REFUSED_TIME)
		return false;
	key = key_of(from, msg);

	return l->keys[key % REFUSED_MAX] == key;
}
