/*
 * A credential table in memory
 */
#pragma once

#include "store/credentials.h"

/** Row (realm, auth-realm, lookup); or of an AoR with realm NULL: agent, user */
void fake_credential(const char *realm, const char *auth_realm,
		     const char *lookup, const char *username,
		     const char *password);
void fake_credential_of_aor(const char *agent, const char *user,
			    const char *username, const char *password);
/** All look-ups answer this errno; 0: as usual */
void fake_credentials_fail(int err);
/** Have all credentials that were opened been wiped again? */
bool fake_credentials_wiped(void);
void fake_credentials_reset(void);
