/*
 * Which worker a tenant lives on
 */
#include <string.h>
#include "store/hash.h"
#include "sbc/crew.h"
#include "sbc/mailbox.h"

bool crew_is_alone(const struct worker *w)
{
	return !w->crew || w->crew->n == 1;
}

uint32_t crew_of_bytes(const struct worker *w, const struct pl *bytes)
{
	return crew_is_alone(w) ? w->number
				: (uint32_t)(hash_bytes(bytes->p, bytes->l) %
					     w->crew->n);
}

uint32_t crew_of_realm(const struct worker *w, const struct plan *plan,
		       const struct realm *realm)
{
	const struct realm *owner = NULL;
	struct pl name;

	for (; realm; realm = realm->parent)
		if (identity_lives_in(plan->identities, realm))
			owner = realm;
	if (!owner)
		return CREW_ANY;
	pl_set_str(&name, owner->config->identifier);

	return crew_of_bytes(w, &name);
}

bool crew_has(const struct worker *w, const struct plan *plan,
	      const struct surrogate_agent *agent)
{
	const struct realm *realm;

	if (crew_is_alone(w))
		return true;
	realm = realm_named(plan->realms, agent->realm_id);

	return crew_of_realm(w, plan, realm) == w->number;
}

bool crew_is_first(const struct worker *w)
{
	return crew_is_alone(w) || w->number == 0;
}

struct news {
	struct letter letter;
	crew_h *h;
	_Alignas(uint64_t) uint8_t bytes[];
};

static void news_open(struct letter *letter, void *arg)
{
	struct news *news = (struct news *)letter;

	news->h(arg, news->bytes);
	mem_deref(news);
}

void crew_tell(const struct worker *w, crew_h *h, const void *p, size_t n)
{
	for (uint32_t i = 0; !crew_is_alone(w) && i < w->crew->n; i++) {
		struct news *news;

		if (i == w->number)
			continue;
		news = mem_zalloc(sizeof(*news) + n, NULL);
		if (!news)
			return;
		news->letter.open = news_open;
		news->h = h;
		memcpy(news->bytes, p, n);
		mailbox_post(w->crew->v[i].mailbox, &news->letter);
	}
}
