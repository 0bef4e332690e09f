/*
 * The superuser's password: scrypt, compare, keep
 *
 * acli.md 4. What is stored names method and costs, so that they can grow. Hashing
 * takes some 100 ms and 32 MiB: on a worker thread only.
 */
#pragma once

#include <stdbool.h>
#include "store/database.h"

enum {
	PASSWORD_MAX = 1024, /* longest password [bytes] */
	PASSWORD_TEXT = 256  /* room for what is stored */
};

/**
 * Hash a password
 *
 * @param text   Set to what is stored: "$scrypt$n=32768,r=8,p=1$SALT$HASH" in
 *               base64; where OpenSSL has no scrypt, "$pbkdf2-sha256$i=600000$..."
 * @param clear  Password
 *
 * @return 0; ENOMEM; EIO when OpenSSL refuses
 *
 * Source: RFC 7914; RFC 8018
 */
int password_hash(char text[PASSWORD_TEXT], const char *clear);

/**
 * Compare a password with what is stored
 *
 * @param text    What password_hash wrote
 * @param clear   Password
 * @param weakp   Set when it is the right one and its costs are lower than those of
 *                password_hash: it is to be hashed anew
 *
 * @return 0; EACCES another password; EBADMSG not what password_hash writes;
 *         ENOMEM; EIO when OpenSSL refuses
 */
int password_check(const char *text, const char *clear, bool *weakp);

/** What is stored; "" when there is no password. 0; EIO */
int password_load(char text[PASSWORD_TEXT], struct database *db);

/** Store what password_hash wrote; "" removes the password. 0; errno of the
 *  database */
int password_store(struct database *db, const char *text);
