/*
 * Requests of one leg, one after the other
 */
#include <errno.h>
#include "sbc/queue.h"
#include "sbc/respond.h"

struct queued {
	struct le le;
	struct transaction *t;
};

/* Most queues never have one: a call with a BYE needs none */
struct queue_line {
	struct list waiting; /* of struct queued */
	struct timer timer;
};

static struct queue_line *line_of(struct queue *q)
{
	if (!q->line)
		q->line = mem_zalloc(sizeof(*q->line), NULL);

	return q->line;
}

static struct le *first(const struct queue *q)
{
	return q->line ? q->line->waiting.head : NULL;
}

static void destructor(void *data)
{
	struct queued *e = data;

	list_unlink(&e->le);
	transaction_forget(e->t);
}

static struct transaction *take(struct queued *e)
{
	struct transaction *t = e->t;

	e->t = NULL;
	mem_deref(e);
	return t;
}

static void next(void *arg)
{
	struct queue *q = arg;

	q->ahead = NULL;
	while (!q->ahead && first(q))
		q->h(take(first(q)->data), q->arg);
}

/* RFC 3261 9.2 */
static void event(struct transaction *t, enum transaction_event ev,
		  const struct message *msg, void *arg)
{
	struct queued *e = arg;
	(void)msg;

	if (ev != CANCELLED)
		return;
	respond(t, 487, NULL);
	mem_deref(e);
}

static struct queued *queued(struct transaction *t)
{
	struct queued *e = mem_zalloc(sizeof(*e), destructor);

	if (!e)
		return NULL;
	e->t = t;
	transaction_handler(t, event, e);
	return e;
}

void queue_init(struct queue *q, uint32_t patience, queue_h *h, void *arg)
{
	q->ahead = NULL;
	q->line = NULL;
	q->patience = patience;
	q->h = h;
	q->arg = arg;
}

int queue_put(struct queue *q, struct transaction *t)
{
	struct queued *e;

	if (!queue_is_busy(q)) {
		q->h(t, q->arg);
		return 0;
	}
	e = line_of(q) ? queued(t) : NULL;
	if (!e)
		return ENOMEM;
	list_append(&q->line->waiting, &e->le, e);
	return 0;
}

int queue_return(struct queue *q, struct transaction *t, const void *who)
{
	struct queued *e = line_of(q) ? queued(t) : NULL;

	if (!e)
		return ENOMEM;
	list_prepend(&q->line->waiting, &e->le, e);
	queue_hold(q, who);
	return 0;
}

void queue_hold(struct queue *q, const void *who)
{
	q->ahead = who && line_of(q) ? who : NULL;
	if (q->ahead)
		timer_start(&q->line->timer, q->patience, next, q);
}

bool queue_is_busy(const struct queue *q)
{
	return q->ahead || first(q);
}

void queue_pass(struct queue *q, const void *who)
{
	if (!who || q->ahead != who)
		return;
	q->ahead = NULL;
	if (first(q))
		timer_start(&q->line->timer, 0, next, q);
	else
		timer_cancel(&q->line->timer);
}

bool queue_has(const struct queue *q, enum method_id method)
{
	for (struct le *le = first(q); le; le = le->next) {
		const struct queued *e = le->data;
		const struct message *msg = transaction_request(e->t);

		if (msg && msg->method_id == method)
			return true;
	}
	return false;
}

void queue_refuse(struct queue *q, enum method_id method, uint16_t code)
{
	struct le *le = first(q);

	while (le) {
		struct queued *e = le->data;
		const struct message *msg = transaction_request(e->t);

		le = le->next;
		if (!msg || msg->method_id != method)
			continue;
		respond(e->t, code, NULL);
		mem_deref(e);
	}
}

void queue_end(struct queue *q, uint16_t code)
{
	q->ahead = NULL;
	while (first(q)) {
		struct queued *e = first(q)->data;

		if (code)
			respond(e->t, code, NULL);
		mem_deref(e);
	}
	if (q->line)
		timer_cancel(&q->line->timer);
	q->line = mem_deref(q->line);
}
