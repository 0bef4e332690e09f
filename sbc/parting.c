/*
 * A 2xx that nobody waits for: its dialog is ACKed and hung up
 */
#include "sbc/counters.h"
#include "sbc/parting.h"

struct parting {
	struct le le;
	struct parting_setup setup;
	struct leg *leg; /* that waits, or whose BYE is unanswered */
	struct list relays;
	struct timer timer;
};

static void destructor(void *data)
{
	struct parting *p = data;

	list_unlink(&p->le);
	timer_cancel(&p->timer);
	list_flush(&p->relays);
	if (p->leg && p->leg->arg == p)
		leg_close(p->leg);
	mem_deref(p->leg);
	plan_give(p->setup.plan);
	for (int i = 0; i < PLANS_LENT; i++)
		plan_give(p->setup.lent[i]);
}

static struct parting *parting_alloc(const struct parting_setup *setup)
{
	struct parting *p = mem_zalloc(sizeof(*p), destructor);

	if (!p)
		return NULL;
	p->setup = *setup;
	p->setup.plan = plan_take(setup->plan);
	for (int i = 0; i < PLANS_LENT; i++)
		if (setup->lent[i])
			(void)plan_take(setup->lent[i]);
	list_append(setup->list, &p->le, p);
	return p;
}

/* --- BYE ---------------------------------------------------------------- */

static void bye_proof(struct relay *r, struct proof_setup *setup, void *arg)
{
	const struct parting *p = arg;

	sides_who_proof(&p->setup.who, &relay_to(r)->to.dst, setup);
}

/* Its record is written, or says nothing of other branches */
static void bye_challenged(struct relay *r, enum proof result,
			   const struct proof_report *report, void *arg)
{
	(void)r;
	(void)result;
	(void)report;
	(void)arg;
}

static void bye_proved(struct relay *r, const struct proof_report *report,
		       uint16_t code, void *arg)
{
	(void)r;
	(void)report;
	(void)code;
	(void)arg;
}

static void bye_done(struct relay *r, uint16_t code, const struct message *msg,
		     void *arg)
{
	(void)r;
	(void)code;
	(void)msg;
	mem_deref(arg);
}

static const struct relay_user bye_user = {
	.proof = bye_proof,
	.challenged = bye_challenged,
	.proved = bye_proved,
	.done = bye_done,
};

void parting_hang_up(const struct parting_setup *setup, struct leg *leg,
		     const struct message *answer)
{
	struct parting *p = parting_alloc(setup);
	struct relay_setup bye = {
		.plan = setup->plan,
		.method = BYE,
		.user = &bye_user,
		.arg = p,
	};

	/* Without memory nothing happens: the 2xx is repeated */
	if (!p)
		return;
	if (leg_loser(&p->leg, leg, answer)) {
		mem_deref(p);
		return;
	}
	(void)leg_ack(p->leg, NULL, NULL);
	bye.list = &p->relays;
	bye.to = p->leg;
	if (relay_start(NULL, &bye))
		mem_deref(p);
}

/* --- Waiting ------------------------------------------------------------ */

static void came(struct leg *leg, enum leg_event ev, const struct message *msg,
		 void *arg)
{
	const struct parting *p = arg;

	if (ev != LEG_ANSWER && ev != LEG_OTHER)
		return;
	count(COUNT_MULTIPLE_OK_TERMS, 1);
	parting_hang_up(&p->setup, leg, msg);
}

static void unheard(struct leg *leg, enum leg_event ev,
		    const struct message *msg, void *arg)
{
	(void)leg;
	(void)ev;
	(void)msg;
	(void)arg;
}

static void over(void *arg)
{
	mem_deref(arg);
}

static void begin(const struct parting_setup *setup, struct leg *leg, leg_h *h)
{
	struct parting *p = parting_alloc(setup);

	if (!p) {
		leg_close(leg);
		return;
	}
	p->leg = mem_ref(leg);
	timer_start(&p->timer, leg_linger(leg, h, p), over, p);
}

void parting_begin(const struct parting_setup *setup, struct leg *leg)
{
	begin(setup, leg, came);
}

void parting_wait(const struct parting_setup *setup, struct leg *leg)
{
	begin(setup, leg, unheard);
}
