/*
 * What one worker learns and all must know
 *
 * Realms and session-agents go by their names: another worker may have another
 * plan just now.
 */
#include <string.h>
#include "sbc/bulletin.h"
#include "sbc/crew.h"
#include "sbc/shun.h"
#include "sbc/surrogates.h"

enum {
	NAME_SIZE = 256 /* of a realm, of a session-agent [bytes] */
};

struct shun_news {
	char realm[NAME_SIZE];
	struct sa addr;
	uint8_t transport;
	bool pardon;
	uint64_t until;
};

static void shun_heard(struct worker *w, const void *p)
{
	const struct shun_news *news = p;
	const struct realm *realm =
		w->plan ? realm_named(w->plan->realms, news->realm) : NULL;

	if (!realm || !w->shun)
		return;
	if (news->pardon)
		shun_pardon(w->shun, realm, &news->addr, news->transport);
	else
		shun_target(w->shun, realm, &news->addr, news->transport,
			    news->until);
}

static void shun_tell(const struct worker *w, const struct realm *realm,
		      struct shun_news *news)
{
	str_ncpy(news->realm, realm->config->identifier, sizeof(news->realm));
	crew_tell(w, shun_heard, news, sizeof(*news));
}

void bulletin_shun(const struct worker *w, const struct realm *realm,
		   const struct sa *addr, uint8_t transport, uint64_t until)
{
	struct shun_news news = { .addr = *addr,
				  .transport = transport,
				  .until = until };

	shun_target(w->shun, realm, addr, transport, until);
	shun_tell(w, realm, &news);
}

void bulletin_pardon(const struct worker *w, const struct realm *realm,
		     const struct sa *addr, uint8_t transport)
{
	struct shun_news news = { .addr = *addr,
				  .transport = transport,
				  .pardon = true };

	shun_pardon(w->shun, realm, addr, transport);
	shun_tell(w, realm, &news);
}

struct gone_news {
	char hostname[NAME_SIZE];
	struct sa addr; /* unset: all of it */
};

static void gone_heard(struct worker *w, const void *p)
{
	const struct gone_news *news = p;
	struct pl key;

	if (!w->plan)
		return;
	pl_set_str(&key, news->hostname);
	surrogates_target_gone(
		w->surrogates,
		config_find(w->plan->config, &element_session_agent, &key),
		sa_isset(&news->addr, SA_ADDR) ? &news->addr : NULL);
}

void bulletin_agent_gone(const struct worker *w,
			 const struct session_agent *agent,
			 const struct sa *addr)
{
	struct gone_news news = { 0 };

	if (!agent || !agent->invalidate_registrations)
		return;
	surrogates_target_gone(w->surrogates, agent, addr);
	str_ncpy(news.hostname, agent->hostname, sizeof(news.hostname));
	if (addr)
		news.addr = *addr;
	crew_tell(w, gone_heard, &news, sizeof(news));
}

static void loss_heard(struct worker *w, const void *p)
{
	uint64_t conn;

	memcpy(&conn, p, sizeof(conn));
	if (w->surrogates)
		surrogates_lost(w->surrogates, conn);
}

void bulletin_connection_lost(const struct worker *w, uint64_t conn)
{
	if (w->surrogates)
		surrogates_lost(w->surrogates, conn);
	crew_tell(w, loss_heard, &conn, sizeof(conn));
}
