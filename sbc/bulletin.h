/*
 * What one worker learns and all must know
 *
 * Said at once to the tables of this worker, and by letters to the others.
 */
#pragma once

#include "sbc/worker.h"

/** shun_target; until UINT64_MAX: until it is pardoned */
void bulletin_shun(const struct worker *w, const struct realm *realm,
		   const struct sa *addr, uint8_t transport, uint64_t until);
/** shun_pardon */
void bulletin_pardon(const struct worker *w, const struct realm *realm,
		     const struct sa *addr, uint8_t transport);

/** surrogates_target_gone; addr NULL: the whole session-agent. agent may be NULL */
void bulletin_agent_gone(const struct worker *w,
			 const struct session_agent *agent,
			 const struct sa *addr);

/** surrogates_lost: registrations may have come over it, whoever made them */
void bulletin_connection_lost(const struct worker *w, uint64_t conn);
