/*
 * Early dialogs of a call, one for each To tag of the called side
 */
#include <errno.h>
#include <string.h>
#include "sbc/early.h"

/* A fork of more phones than that is none that a caller wants to hear */
enum {
	EARLY_MAX = 24
};

static void destructor(void *data)
{
	struct early *e = data;

	list_unlink(&e->le);
	if (e->a)
		e->a->early = NULL;
	if (e->b)
		e->b->early = NULL;
	if (e->twin_a)
		mem_deref(e->a);
	if (e->twin_b)
		mem_deref(e->b);
	mem_deref(e->media);
}

static bool tags_equal(const struct pl *a, const struct pl *b)
{
	return a->l == b->l && !memcmp(a->p, b->p, a->l);
}

static bool has_tag(const struct leg *leg, const struct pl *tag)
{
	struct pl own = leg_remote_tag(leg);

	return tags_equal(&own, tag);
}

static struct early *find(const struct list *all, const struct leg *b,
			  const struct pl *remote_tag)
{
	for (struct le *le = all->head; le; le = le->next) {
		struct early *e = le->data;

		if (leg_is_twin(e->b, b) && has_tag(e->b, remote_tag))
			return e;
	}
	return NULL;
}

/* The leg itself when no dialog has it, else a twin */
static int leg_for(struct leg **legp, bool *twin, struct leg *leg)
{
	int err = 0;

	if (!leg->early) {
		*legp = leg;
		return 0;
	}
	err = leg_twin(legp, leg);
	*twin = !err;
	return err;
}

static int early_make(struct early **ep, const struct early_call *c)
{
	struct early *e;
	int err;

	if (list_count(c->all) >= EARLY_MAX)
		return ENOSPC;
	e = mem_zalloc(sizeof(*e), destructor);
	if (!e)
		return ENOMEM;

	err = leg_for(&e->a, &e->twin_a, c->a);
	if (!err)
		err = leg_for(&e->b, &e->twin_b, c->b);
	if (err) {
		/* Its legs may be the call's, and of no dialog yet */
		mem_deref(e);
		return err;
	}

	e->a->early = e->b->early = e;
	list_append(c->all, &e->le, e);
	*ep = e;
	return 0;
}

int early_take(struct early **ep, const struct early_call *c,
	       const struct message *msg)
{
	struct early *e = find(c->all, c->b, &msg->to_tag);
	int err;

	if (!e) {
		err = early_make(&e, c);
		if (!err)
			err = leg_learn(e->b, msg);
		if (!err && c->b->text[LEG_KEPT])
			err = leg_keep(e->a, &msg->to_tag);
		if (err) {
			mem_deref(e);
			return err;
		}
	}

	*ep = e;
	return 0;
}

struct leg *early_leg_a(const struct list *all, struct leg *leg,
			const struct message *msg)
{
	struct pl tag;

	for (struct le *le = all->head; le; le = le->next) {
		struct early *e = le->data;

		tag = range_of(leg_tag(e->a));
		if (tags_equal(&tag, &msg->to_tag))
			return e->a;
	}
	tag = range_of(leg_tag(leg));
	return tags_equal(&tag, &msg->to_tag) ? leg : NULL;
}

struct leg *early_leg_b(const struct list *all, struct leg *leg,
			const struct message *msg)
{
	for (struct le *le = all->head; le; le = le->next) {
		struct early *e = le->data;
		struct pl tag = range_of(leg_tag(e->b));

		if (tags_equal(&tag, &msg->to_tag) &&
		    has_tag(e->b, &msg->from_tag))
			return e->b;
	}
	return leg && has_tag(leg, &msg->from_tag) ? leg : NULL;
}

struct leg *early_other(const struct leg *leg)
{
	if (!leg->early)
		return NULL;
	return leg == leg->early->a ? leg->early->b : leg->early->a;
}

static void legs_change(struct list *relays, struct early *x, struct early *y,
			bool side_b)
{
	struct leg **lx = side_b ? &x->b : &x->a, **ly = side_b ? &y->b : &y->a;
	bool *tx = side_b ? &x->twin_b : &x->twin_a;
	bool *ty = side_b ? &y->twin_b : &y->twin_a;
	struct leg *leg = *lx;
	bool twin = *tx;

	leg_swap(*lx, *ly);
	relays_swap(relays, *lx, *ly);
	*lx = *ly;
	*ly = leg;
	*tx = *ty;
	*ty = twin;
	(*lx)->early = x;
	(*ly)->early = y;
}

int early_choose(const struct early_call *c, const struct message *msg)
{
	struct early *e = find(c->all, c->b, &msg->to_tag);
	int err;

	/* A 2xx of a branch that never rang, beside others that did. Without
	 * memory for a dialog of its own it takes the first one's */
	if (!e && !list_isempty(c->all))
		(void)early_make(&e, c);
	if (e && e->twin_a)
		legs_change(c->relays, e, c->a->early, false);
	if (e && e->twin_b)
		legs_change(c->relays, e, c->b->early, true);
	err = c->b->text[LEG_KEPT] ? leg_keep(c->a, &msg->to_tag) : 0;
	return err ? err : leg_choose(c->b, msg);
}

int early_speak(const struct list *all, const struct leg *leg, struct media *m)
{
	struct early *e = leg->early, *before = NULL;
	int err;

	if (!e || e->speaks)
		return 0;
	for (struct le *le = all->head; le && !before; le = le->next)
		if (((struct early *)le->data)->speaks)
			before = le->data;
	if (before) {
		err = media_turn(m, e->b->realm, &e->b->first.dst,
				 &before->media, &e->media);
		if (err)
			return err;
		before->speaks = false;
	} else {
		media_face(m, e->b->realm, &e->b->first.dst);
	}
	e->speaks = true;
	return 0;
}

void early_stop(const struct list *all)
{
	for (struct le *le = all->head; le; le = le->next) {
		struct early *e = le->data;

		prack_stop(e->a);
	}
}

/* Requests of a leg under way: whoever waits for an answer gets 481 */
static void relays_end(struct list *relays, const struct leg *leg)
{
	struct le *le = relays->head;

	while (le) {
		struct relay *r = le->data;

		le = le->next;
		if (relay_from(r) == leg || relay_to(r) == leg)
			relay_close(r, 481);
	}
}

static struct early *first_of_another(const struct early_call *c)
{
	for (struct le *le = c->all->head; le; le = le->next)
		if (!leg_is_twin(((struct early *)le->data)->b, c->b))
			return le->data;
	return NULL;
}

int early_fail(const struct early_call *c)
{
	struct early *other = first_of_another(c);
	struct le *le = c->all->head;
	bool any = le != NULL;

	if (!any)
		return 0;
	/* The caller's leg stays with a dialog that lives */
	if (other && other->twin_a && c->a->early &&
	    leg_is_twin(c->a->early->b, c->b))
		legs_change(c->relays, other, c->a->early, false);
	while (le) {
		struct early *e = le->data;

		le = le->next;
		if (!leg_is_twin(e->b, c->b))
			continue;
		relays_end(c->relays, e->a);
		relays_end(c->relays, e->b);
		if (e->speaks)
			media_hush(c->media);
		mem_deref(e);
	}
	if (!list_isempty(c->all))
		return 0;

	prack_reset(c->a);
	return leg_renew(c->a);
}

/* A twin takes the dialog over */
static int leg_leave(struct list *relays, struct early *e)
{
	struct leg *leg = e->b, *twin;
	int err = leg_twin(&twin, leg);

	if (err)
		return err;
	leg_swap(leg, twin);
	relays_swap(relays, leg, twin);
	leg->early = NULL;
	twin->early = e;
	e->b = twin;
	e->twin_b = true;
	return 0;
}

void early_keep(const struct early_call *c)
{
	for (struct le *le = c->all->head; le; le = le->next) {
		struct early *e = le->data;

		if (e->b != c->b)
			continue;
		if (leg_leave(c->relays, e))
			(void)early_fail(c);
		return;
	}
}

void early_clear(struct list *all, struct list *relays)
{
	struct le *le = all->head;

	while (le) {
		struct early *e = le->data;

		le = le->next;
		if (e->twin_a)
			relays_end(relays, e->a);
		if (e->twin_b)
			relays_end(relays, e->b);
		mem_deref(e);
	}
}
