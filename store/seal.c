/*
 * Seal and open secrets with AES-256-GCM, make the key file, wipe
 *
 * A sealed text is "$sbc1$" and base64 of nonce (96 bits, random), ciphertext
 * and tag (128 bits), NIST SP 800-38D. The prefix is authenticated too, so a
 * later form cannot be passed off as this one. One key seals far fewer than
 * the 2^32 texts up to which random nonces are safe.
 *
 * The key file is one line, "sbckey1 " and 64 hex digits. It appears under its
 * name only when it is whole and on the disk: a crash while it is made leaves
 * no half key, and of two processes that make it one wins and both read that.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "store/base.h"
#include <re_base64.h>
#include "store/seal.h"

enum {
	KEY_BYTES = 32,
	NONCE_BYTES = 12,
	TAG_BYTES = 16,
	RAW_MAX = NONCE_BYTES + SECRET_MAX + TAG_BYTES,
};

static const char sealed_mark[] = "$sbc1$";
static const char key_mark[] = "sbckey1 ";

enum {
	MARK_LENGTH = sizeof(sealed_mark) - 1,
	KEY_MARK_LENGTH = sizeof(key_mark) - 1,
	KEY_LINE = KEY_MARK_LENGTH + 2 * KEY_BYTES + 1,
};

struct seal {
	uint8_t key[KEY_BYTES];
	EVP_CIPHER *cipher; /* fetched once: a fetch takes longer than a seal */
};

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return errno;

		p += w;
		n -= (size_t)w;
	}

	return 0;
}

static int key_line_make(char *line)
{
	uint8_t key[KEY_BYTES];

	if (RAND_bytes(key, sizeof(key)) != 1)
		return EIO;

	memcpy(line, key_mark, KEY_MARK_LENGTH);
	for (size_t i = 0; i < KEY_BYTES; i++)
		(void)snprintf(line + KEY_MARK_LENGTH + 2 * i, 3, "%02x",
			       key[i]);
	line[KEY_LINE - 1] = '\n';
	explicit_bzero(key, sizeof(key));

	return 0;
}

/* The new name counts after a power cut only when the folder is written */
static int folder_sync(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, err = 0;

	if (!slash)
		(void)snprintf(folder, sizeof(folder), ".");
	else
		(void)snprintf(folder, sizeof(folder), "%.*s",
			       (int)(slash - path) + 1, path);

	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (fsync(fd))
		err = errno;
	(void)close(fd);

	return err;
}

static int key_make(const char *path)
{
	char temp[PATH_MAX], line[KEY_LINE + 1];
	int fd, err;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >=
	    (int)sizeof(temp))
		return ENAMETOOLONG;

	fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return errno;

	err = key_line_make(line);
	if (!err)
		err = write_all(fd, line, KEY_LINE);
	if (!err && fsync(fd))
		err = errno;

	/* Somebody else may have been faster: then his key is the key */
	if (!err && link(temp, path) && errno != EEXIST)
		err = errno;
	if (!err)
		err = folder_sync(path);

	explicit_bzero(line, sizeof(line));
	(void)close(fd);
	(void)unlink(temp);

	return err;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;

	return -1;
}

static int key_line_parse(uint8_t *key, const char *line, size_t n)
{
	if (n != KEY_LINE || memcmp(line, key_mark, KEY_MARK_LENGTH) ||
	    line[KEY_LINE - 1] != '\n')
		return EBADMSG;

	for (size_t i = 0; i < KEY_BYTES; i++) {
		int high = nibble(line[KEY_MARK_LENGTH + 2 * i]);
		int low = nibble(line[KEY_MARK_LENGTH + 2 * i + 1]);

		if (high < 0 || low < 0)
			return EBADMSG;
		key[i] = (uint8_t)(high << 4 | low);
	}

	return 0;
}

static int key_read(uint8_t *key, int fd)
{
	char line[KEY_LINE + 1]; /* one more: a longer file is no key */
	struct stat st;
	size_t n = 0;
	int err;

	if (fstat(fd, &st))
		return errno;
	if (!S_ISREG(st.st_mode))
		return EBADMSG;
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return EACCES;

	while (n < sizeof(line)) {
		ssize_t r = read(fd, line + n, sizeof(line) - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			err = errno;
			goto out;
		}
		if (!r)
			break;
		n += (size_t)r;
	}

	err = key_line_parse(key, line, n);

out:
	explicit_bzero(line, sizeof(line));

	return err;
}

static int key_open(uint8_t *key, const char *path, bool make)
{
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && make) {
		err = key_make(path);
		if (err)
			return err;
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	if (fd < 0)
		return errno;

	err = key_read(key, fd);
	(void)close(fd);

	return err;
}

int seal_open(struct seal **sealp, const char *path, bool make)
{
	struct seal *seal;
	int err;

	if (!sealp || !path)
		return EINVAL;

	seal = calloc(1, sizeof(*seal));
	if (!seal)
		return ENOMEM;

	seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	err = seal->cipher ? key_open(seal->key, path, make) : EIO;
	if (err)
		seal_close(seal);
	else
		*sealp = seal;

	return err;
}

int seal_check(const struct seal *seal, const char *path)
{
	uint8_t key[KEY_BYTES];
	int err = key_open(key, path, false);

	if (!err && CRYPTO_memcmp(key, seal->key, KEY_BYTES))
		err = EEXIST;
	explicit_bzero(key, sizeof(key));

	return err;
}

void seal_close(struct seal *seal)
{
	if (!seal)
		return;

	EVP_CIPHER_free(seal->cipher);
	explicit_bzero(seal, sizeof(*seal));
	free(seal);
}

static int encrypt(uint8_t *raw, const struct seal *seal, const char *clear,
		   size_t n)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len, err = EIO;

	if (!ctx)
		return ENOMEM;

	if (RAND_bytes(raw, NONCE_BYTES) != 1 ||
	    !EVP_EncryptInit_ex2(ctx, seal->cipher, seal->key, raw, NULL) ||
	    !EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)sealed_mark,
			       MARK_LENGTH) ||
	    !EVP_EncryptUpdate(ctx, raw + NONCE_BYTES, &len,
			       (const uint8_t *)clear, (int)n) ||
	    !EVP_EncryptFinal_ex(ctx, raw + NONCE_BYTES + n, &len) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES,
				 raw + NONCE_BYTES + n))
		goto out;

	err = 0;

out:
	EVP_CIPHER_CTX_free(ctx);

	return err;
}

int seal_text(char **out, const struct seal *seal, const char *clear)
{
	uint8_t raw[RAW_MAX];
	size_t n, coded;
	char *text;
	int err;

	if (!out || !seal || !clear)
		return EINVAL;

	n = strlen(clear);
	if (n > SECRET_MAX)
		return EOVERFLOW;

	err = encrypt(raw, seal, clear, n);
	if (err)
		return err;

	n += NONCE_BYTES + TAG_BYTES;
	coded = 4 * ((n + 2) / 3);
	text = malloc(MARK_LENGTH + coded + 1);
	if (!text)
		return ENOMEM;

	memcpy(text, sealed_mark, MARK_LENGTH);
	err = base64_encode(raw, n, text + MARK_LENGTH, &coded);
	if (err) {
		free(text);
		return err;
	}
	text[MARK_LENGTH + coded] = '\0';
	*out = text;

	return 0;
}

struct opener {
	EVP_CIPHER_CTX *ctx; /* has its key; each secret brings a nonce */
};

void opener_close(struct opener *opener)
{
	if (!opener)
		return;

	EVP_CIPHER_CTX_free(opener->ctx);
	free(opener);
}

int opener_open(struct opener **openerp, const struct seal *seal)
{
	struct opener *opener;
	int err = 0;

	if (!openerp || !seal)
		return EINVAL;

	opener = calloc(1, sizeof(*opener));
	if (!opener)
		return ENOMEM;

	opener->ctx = EVP_CIPHER_CTX_new();
	if (!opener->ctx)
		err = ENOMEM;
	else if (!EVP_DecryptInit_ex2(opener->ctx, seal->cipher, seal->key,
				      NULL, NULL))
		err = EIO;

	if (err)
		opener_close(opener);
	else
		*openerp = opener;

	return err;
}

static int decrypt(EVP_CIPHER_CTX *ctx, char *buf, const uint8_t *raw, size_t n)
{
	uint8_t tag[TAG_BYTES];
	int len, last;

	if (n < NONCE_BYTES + TAG_BYTES || n > RAW_MAX)
		return EBADMSG;

	n -= NONCE_BYTES + TAG_BYTES;
	memcpy(tag, raw + NONCE_BYTES + n, TAG_BYTES);
	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, raw, NULL) &&
	    EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)sealed_mark,
			      MARK_LENGTH) &&
	    EVP_DecryptUpdate(ctx, (uint8_t *)buf, &len, raw + NONCE_BYTES,
			      (int)n) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) &&
	    EVP_DecryptFinal_ex(ctx, (uint8_t *)buf + n, &last) == 1) {
		/* What was sealed was a text: a zero inside is not of ours */
		buf[n] = '\0';
		if (strlen(buf) == n)
			return 0;
	}
	explicit_bzero(buf, SECRET_MAX + 1);

	return EBADMSG;
}

/* Clear or empty secrets need no key */
static int clear_open(char *buf, const struct secret *secret)
{
	size_t n = secret_is_set(secret) ? strlen(secret->text) : 0;

	buf[0] = '\0';
	if (n > SECRET_MAX)
		return EOVERFLOW;
	if (n)
		memcpy(buf, secret->text, n + 1);

	return 0;
}

int opener_use(struct opener *opener, char *buf, const struct secret *secret)
{
	uint8_t raw[RAW_MAX + 3];
	size_t n, size = sizeof(raw);

	if (!opener || !buf || !secret)
		return EINVAL;
	if (!secret_is_set(secret) || !secret->sealed)
		return clear_open(buf, secret);

	/* The length is checked first: it decides how much is decoded */
	buf[0] = '\0';
	n = strlen(secret->text);
	if (n <= MARK_LENGTH || n - MARK_LENGTH > 4 * ((RAW_MAX + 2) / 3) ||
	    memcmp(secret->text, sealed_mark, MARK_LENGTH) ||
	    base64_decode(secret->text + MARK_LENGTH, n - MARK_LENGTH, raw,
			  &size))
		return EBADMSG;

	return decrypt(opener->ctx, buf, raw, size);
}

int secret_open(char *buf, const struct secret *secret, const struct seal *seal)
{
	struct opener *opener;
	int err;

	if (!buf || !secret)
		return EINVAL;
	if (!secret_is_set(secret) || !secret->sealed)
		return clear_open(buf, secret);

	buf[0] = '\0';
	if (!seal)
		return EBADMSG;
	err = opener_open(&opener, seal);
	if (err)
		return err;
	err = opener_use(opener, buf, secret);
	opener_close(opener);

	return err;
}

void seal_digest(char out[SEAL_DIGEST], const void *p, size_t n)
{
	uint8_t md[32];
	unsigned len = 0;

	out[0] = '\0';
	if (EVP_Digest(p, n, md, &len, EVP_sha256(), NULL) != 1 ||
	    len != sizeof(md))
		return;
	for (size_t i = 0; i < sizeof(md); i++)
		(void)sprintf(out + 2 * i, "%02x", md[i]);
}

const char *seal_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

void secret_wipe_bytes(void *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
}

void secret_wipe(char *text)
{
	if (!text)
		return;

	explicit_bzero(text, strlen(text));
	free(text);
}

bool secret_is_set(const struct secret *secret)
{
	return secret && secret->text && secret->text[0];
}

bool secret_opens_same(const struct secret *a, const struct secret *b,
		       const struct seal *seal)
{
	char x[SECRET_MAX + 1], y[SECRET_MAX + 1];
	bool same;

	if (!secret_is_set(a) || !secret_is_set(b))
		return secret_is_set(a) == secret_is_set(b);
	if (!strcmp(a->text, b->text))
		return true;

	if (secret_open(x, a, seal) || secret_open(y, b, seal))
		same = false;
	else
		same = strlen(x) == strlen(y) &&
		       !CRYPTO_memcmp(x, y, strlen(x));
	explicit_bzero(x, sizeof(x));
	explicit_bzero(y, sizeof(y));

	return same;
}
