/*
 * Seal and open secrets with AES-256-GCM, make the key file, wipe
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct seal; /* the key; immutable after seal_open, any thread may use it */

/** A secret of the configuration: clear text as read, or sealed text */
struct secret {
	char *text;  /* NULL: empty. Wiped before it is freed */
	bool sealed; /* text is "$sbc1$..." */
};

enum {
	SECRET_MAX = 1024
}; /* longest clear text [bytes] */

/**
 * Open the key file, or make it with mode 0600 when it is missing
 *
 * @param sealp  Set to the key
 * @param path   The key file, beside the database
 * @param make   Make it when missing
 *
 * @return 0; ENOENT missing and not to be made; EACCES readable by others;
 *         EBADMSG not a key; errno of the file
 */
int seal_open(struct seal **sealp, const char *path, bool make);

/** Is the key file still the one that was opened? 0; EEXIST it holds another key;
 *  else as seal_open */
int seal_check(const struct seal *seal, const char *path);

/** Wipe the key and free it; NULL is fine */
void seal_close(struct seal *seal);

/**
 * Seal a clear text: "$sbc1$" and base64 of nonce, ciphertext and tag
 *
 * @param out    Set to a new text; free with secret_wipe
 * @param seal   Key
 * @param clear  Text
 *
 * @return 0; ENOMEM; EOVERFLOW longer than SECRET_MAX; EIO when OpenSSL
 *         refuses
 */
int seal_text(char **out, const struct seal *seal, const char *clear);

/**
 * Open a secret into a buffer of the caller's, which he wipes after use
 *
 * @param buf     SECRET_MAX + 1 bytes
 * @param secret  Sealed or clear; empty gives ""
 * @param seal    Key; may be NULL for a clear secret
 *
 * @return 0; EBADMSG when the key does not open it; EOVERFLOW a clear text
 *         longer than SECRET_MAX; ENOMEM. On error the buffer is empty
 */
int secret_open(char *buf, const struct secret *secret,
		const struct seal *seal);

/** A key made ready for one thread that opens many secrets */
struct opener;

/** Make an opener of a key; 0; ENOMEM; EIO */
int opener_open(struct opener **openerp, const struct seal *seal);

/** Wipe it and free it; NULL is fine */
void opener_close(struct opener *opener);

/** Open a secret as secret_open does, in half the time */
int opener_use(struct opener *opener, char *buf, const struct secret *secret);

enum {
	SEAL_DIGEST = 65 /* room for a digest in hexadecimal digits */
};

/** SHA-256 of bytes, by which a file is told from others (FIPS 180-4); "" when
 *  OpenSSL refuses */
void seal_digest(char out[SEAL_DIGEST], const void *p, size_t n);

/** Name and version of the library that seals */
const char *seal_library(void);

/** Overwrite bytes so that no compiler leaves it out */
void secret_wipe_bytes(void *p, size_t n);

/** Wipe a text and free it (free(3)); NULL is fine */
void secret_wipe(char *text);

/** Is there a secret at all? */
bool secret_is_set(const struct secret *secret);

/** Do two secrets open to the same text? Sealed texts of one secret differ;
 *  what the key does not open is the same only byte by byte */
bool secret_opens_same(const struct secret *a, const struct secret *b,
		       const struct seal *seal);
