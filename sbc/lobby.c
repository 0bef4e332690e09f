/*
 * New requests of a busy thread, served behind what belongs to calls
 *
 * Strangers stand behind the others. The lobby is left at the end of the turn in
 * which somebody came; when that is too early, or too much, by timer.
 */
#include <errno.h>
#include "sbc/clock.h"
#include "sbc/intake.h"
#include "sbc/lobby.h"
#include "sbc/timer.h"
#include "sbc/turn.h"

struct guest {
	struct le le;
	struct arrival from;
	const struct message *msg;
	uint64_t since; /* [ms] */
};

struct lobby {
	struct list known, strangers; /* struct guest */
	uint32_t n;
	struct deferred turn;
	struct timer timer;
	bool serving;
	lobby_h *h;
	void *arg;
};

static void guest_destructor(void *data)
{
	struct guest *g = data;

	list_unlink(&g->le);
	mem_deref(g->from.port);
	mem_deref((void *)(uintptr_t)g->msg);
}

static struct guest *first(const struct lobby *l)
{
	struct le *le = l->known.head ? l->known.head : l->strangers.head;

	return le ? le->data : NULL;
}

static void serve(struct lobby *l, struct guest *g)
{
	list_unlink(&g->le);
	l->n--;
	l->h(&g->from, g->msg, l->arg);
	mem_deref(g);
}

static bool has_waited(const struct list *list, uint64_t now)
{
	const struct guest *g = list->head ? list->head->data : NULL;

	return g && now >= g->since + LOBBY_WAIT;
}

static void look(void *arg)
{
	struct lobby *l = arg;
	uint64_t begun = clock_ms();
	struct guest *g;

	if (l->serving)
		return;

	l->serving = true;
	if (!intake_has_more() || has_waited(&l->known, begun) ||
	    has_waited(&l->strangers, begun)) {
		while ((g = first(l)) && clock_ms() < begun + LOBBY_TIME)
			serve(l, g);
		/* nobody waits for ever behind those who are known */
		if (has_waited(&l->strangers, clock_ms()))
			serve(l, l->strangers.head->data);
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
}

int lobby_alloc(struct lobby **lp, lobby_h *h, void *arg)
{
	struct lobby *l = mem_zalloc(sizeof(*l), lobby_destructor);

	if (!l)
		return ENOMEM;
	l->turn.run = turn_ends;
	l->h = h;
	l->arg = arg;
	*lp = l;
	return 0;
}

int lobby_put(struct lobby *l, const struct arrival *from,
	      const struct message *msg, bool is_stranger)
{
	struct guest *g;

	if (l->n >= LOBBY_MAX)
		return ENOBUFS;
	g = mem_zalloc(sizeof(*g), guest_destructor);
	if (!g)
		return ENOMEM;

	g->from = *from;
	mem_ref(g->from.port);
	g->msg = mem_ref((void *)(uintptr_t)msg);
	g->since = clock_ms();
	list_append(is_stranger ? &l->strangers : &l->known, &g->le, g);
	l->n++;
	turn_defer(&l->turn);
	return 0;
}

void lobby_clear(struct lobby *l)
{
	struct guest *g;

	while ((g = first(l)))
		serve(l, g);
}
