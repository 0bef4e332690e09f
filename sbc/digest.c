/*
 * Answers to challenges computed
 *
 * What stands between the quotes of a challenge goes back byte by byte; into
 * the hash goes its value, escapes undone (RFC 7616 3.4, RFC 9110 5.6.4). The
 * algorithms are fetched once per thread and freed when it ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <openssl/evp.h>
#include <re_md5.h>
#include "store/number.h"
#include "store/seal.h"
#include "sbc/digest.h"

enum {
	HEX_MAX = 2 * 32 + 1,
	GATHERED =
		512, /* for one word with OpenSSL, which are expensive [bytes] */
	FIXED = 320, /* all of a header line but the texts of others [bytes] */
	FAMILIES = 3
};

/** Hex of a hash, ended by zero */
struct hex {
	char s[HEX_MAX];
	size_t l;
};

/** What a thread hashes with */
struct hasher {
	EVP_MD *md[FAMILIES];
	EVP_MD_CTX *ctx;
	const EVP_MD *now; /* of what is hashed */
	bool told;         /* some of it to OpenSSL */
	size_t n;
	uint8_t gathered[GATHERED]; /* not told to OpenSSL yet */
};

/* clang-format off */
static const struct {
	const char *name;
	uint8_t family; /* of hasher.md, and the strength less one */
	bool sess;
} algorithms[] = {
	[DIGEST_MD5]             = { "MD5",              0, false },
	[DIGEST_MD5_SESS]        = { "MD5-sess",         0, true  },
	[DIGEST_SHA256]          = { "SHA-256",          1, false },
	[DIGEST_SHA256_SESS]     = { "SHA-256-sess",     1, true  },
	[DIGEST_SHA512_256]      = { "SHA-512-256",      2, false },
	[DIGEST_SHA512_256_SESS] = { "SHA-512-256-sess", 2, true  },
};
/* clang-format on */
static const char *const fetched[FAMILIES] = { "MD5", "SHA2-256",
					       "SHA2-512/256" };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* only for its destructor */
static _Thread_local struct hasher *mine;

static void hasher_free(void *arg)
{
	struct hasher *h = arg;

	for (size_t i = 0; i < FAMILIES; i++)
		EVP_MD_free(h->md[i]);
	EVP_MD_CTX_free(h->ctx);
	mem_deref(h);
	mine = NULL;
}

static void key_make(void)
{
	(void)pthread_key_create(&key, hasher_free);
}

/** The thread's own; an algorithm that OpenSSL refuses (FIPS) stays NULL */
static struct hasher *hasher(void)
{
	struct hasher *h = mine;

	if (h)
		return h;

	h = mem_zalloc(sizeof(*h), NULL);
	if (!h)
		return NULL;

	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx)
		return mem_deref(h);

	for (size_t i = 0; i < FAMILIES; i++)
		h->md[i] = EVP_MD_fetch(NULL, fetched[i], NULL);

	(void)pthread_once(&once, key_make);
	(void)pthread_setspecific(key, h);

	return mine = h;
}

static bool begin(struct hasher *h, enum digest_algorithm a)
{
	h->now = h->md[algorithms[a].family];
	h->told = false;
	h->n = 0;

	return h->now;
}

static bool tell(struct hasher *h)
{
	bool ok = (h->told || EVP_DigestInit_ex2(h->ctx, h->now, NULL) == 1) &&
		  EVP_DigestUpdate(h->ctx, h->gathered, h->n) == 1;

	secret_wipe_bytes(h->gathered, h->n);
	h->told = true;
	h->n = 0;

	return ok;
}

static bool add(struct hasher *h, const void *p, size_t n)
{
	if (n > GATHERED - h->n && !tell(h))
		return false;
	if (n > GATHERED)
		return EVP_DigestUpdate(h->ctx, p, n) == 1;
	if (n)
		memcpy(h->gathered + h->n, p, n);
	h->n += n;

	return true;
}

static bool add_pl(struct hasher *h, const struct pl *pl)
{
	return add(h, pl->p, pl->l);
}

static bool add_hex(struct hasher *h, const struct hex *hex)
{
	return add(h, hex->s, hex->l);
}

static bool colon(struct hasher *h)
{
	return add(h, ":", 1);
}

/** How much of the beginning is sure to have nothing that is looked at by itself */
static size_t plain_length(const struct pl *pl)
{
	typedef uint8_t bytes __attribute__((vector_size(16)));
	uint64_t any[2];
	size_t i = 0;
	bytes b;

	for (; i + sizeof(b) <= pl->l; i += sizeof(b)) {
		memcpy(&b, pl->p + i, sizeof(b));
		b = (bytes)((b == '\\') | (b == '"') | (b == '\r') |
			    (b == '\n') | (b == '\0'));
		memcpy(any, &b, sizeof(any));
		if (any[0] | any[1])
			break;
	}

	return i;
}

/** The value of what stands between quotes: a backslash is not of it */
static bool add_quoted(struct hasher *h, const struct pl *pl)
{
	size_t from = 0;
	bool ok = true;

	for (size_t i = plain_length(pl); i + 1 < pl->l; i++) {
		if (pl->p[i] != '\\')
			continue;
		ok &= add(h, pl->p + from, i - from);
		from = ++i;
	}

	return ok && add(h, pl->p + from, pl->l - from);
}

static bool sum(struct hasher *h, uint8_t raw[EVP_MAX_MD_SIZE], unsigned *n)
{
	/* a short text of the common algorithm: EVP costs more than its sum */
	if (!h->told && h->now == h->md[0]) {
		md5(h->gathered, h->n, raw);
		secret_wipe_bytes(h->gathered, h->n);
		*n = MD5_SIZE;
		return true;
	}

	return tell(h) && EVP_DigestFinal_ex(h->ctx, raw, n) == 1;
}

static bool finish(struct hasher *h, struct hex *out)
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (!sum(h, raw, &n) || 2 * n >= HEX_MAX)
		return false;

	hex_write(out->s, raw, n);
	out->l = 2 * n;
	out->s[out->l] = '\0';
	secret_wipe_bytes(raw, n);

	return true;
}

/* RFC 7616 3.4.2 */
static bool hash_a1(struct hex *out, struct hasher *h,
		    const struct digest_input *in)
{
	bool ok = begin(h, in->algorithm) && add_pl(h, &in->username) &&
		  colon(h) && add_quoted(h, &in->realm) && colon(h) &&
		  add(h, in->password, strlen(in->password)) && finish(h, out);

	if (!ok || !algorithms[in->algorithm].sess)
		return ok;

	return begin(h, in->algorithm) && add_hex(h, out) && colon(h) &&
	       add_quoted(h, &in->nonce) && colon(h) &&
	       add(h, in->cnonce, strlen(in->cnonce)) && finish(h, out);
}

/* RFC 7616 3.4.3; for rspauth without the method (3.5) */
static bool hash_a2(struct hex *out, struct hasher *h,
		    const struct digest_input *in, bool rspauth)
{
	struct hex body;
	bool ok = true;

	if (in->qop == QOP_AUTH_INT)
		ok = begin(h, in->algorithm) && add_pl(h, &in->body) &&
		     finish(h, &body);

	ok = ok && begin(h, in->algorithm) &&
	     (rspauth || add_pl(h, &in->method)) && colon(h) &&
	     add_pl(h, &in->uri);
	if (in->qop == QOP_AUTH_INT)
		ok = ok && colon(h) && add_hex(h, &body);

	return ok && finish(h, out);
}

static const char *qop_name(enum digest_qop qop)
{
	return qop == QOP_AUTH_INT ? "auth-int" : "auth";
}

static void nc_write(char out[9], uint32_t nc)
{
	const uint32_t order = htonl(nc);

	hex_write(out, (const uint8_t *)&order, sizeof(order));
	out[8] = '\0';
}

static bool compute(struct hex *out, struct hasher *h,
		    const struct digest_input *in, bool rspauth)
{
	struct hex a1, a2;
	char nc[9];
	bool ok = hash_a1(&a1, h, in) && hash_a2(&a2, h, in, rspauth) &&
		  begin(h, in->algorithm) && add_hex(h, &a1) && colon(h) &&
		  add_quoted(h, &in->nonce) && colon(h);

	if (in->qop != QOP_NONE) {
		nc_write(nc, in->nc);
		ok = ok && add(h, nc, 8) && colon(h) &&
		     add(h, in->cnonce, strlen(in->cnonce)) && colon(h) &&
		     add(h, qop_name(in->qop), strlen(qop_name(in->qop))) &&
		     colon(h);
	}
	ok = ok && add_hex(h, &a2) && finish(h, out);

	secret_wipe_bytes(&a1, sizeof(a1));

	return ok;
}

static int check(const struct digest_input *in)
{
	if (in->algorithm >= DIGEST_UNKNOWN || in->qop >= QOP_UNKNOWN)
		return ENOTSUP;

	return 0;
}

/** May this stand between quotes as it is? A stray quote or line end would let
 *  a challenger write headers of his own into our request */
static bool is_quotable(const struct pl *pl)
{
	for (size_t i = plain_length(pl); i < pl->l; i++) {
		char c = pl->p[i];

		if (c == '\\') {
			if (++i >= pl->l)
				return false;
			c = pl->p[i];
		} else if (c == '"') {
			return false;
		}
		if (c == '\r' || c == '\n' || c == '\0')
			return false;
	}

	return true;
}

/** Printable ASCII: fits a quoted string without a word about its charset */
static bool is_ascii(const struct pl *pl)
{
	for (size_t i = 0; i < pl->l; i++)
		if (pl->p[i] < 0x20 || pl->p[i] == 0x7f)
			return false;

	return true;
}

/* Each returns where the next one goes on; digest_write made room for all */
static char *put_mem(char *p, const char *s, size_t n)
{
	if (n)
		memcpy(p, s, n);

	return p + n;
}

static inline char *put(char *p, const char *s)
{
	return put_mem(p, s, strlen(s)); /* known where it is a literal */
}

static inline char *put_quoted(char *p, const char *name, const struct pl *v)
{
	p = put(p, name);
	*p++ = '"';
	p = put_mem(p, v->p, v->l);
	*p++ = '"';

	return p;
}

/** A configured text: quote and backslash are escaped (RFC 3261 25.1) */
static char *put_escaped(char *p, const struct pl *v)
{
	for (size_t i = 0; i < v->l; i++) {
		if (v->p[i] == '"' || v->p[i] == '\\')
			*p++ = '\\';
		*p++ = v->p[i];
	}

	return p;
}

/** value-chars of RFC 8187 3.2.1: all but attr-char as %XX */
static char *put_percent(char *p, const struct pl *v)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < v->l; i++) {
		uint8_t c = (uint8_t)v->p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') ||
			     (c && strchr("!#$&+-.^_`|~", c));

		if (plain) {
			*p++ = v->p[i];
			continue;
		}
		*p++ = '%';
		*p++ = digits[c >> 4];
		*p++ = digits[c & 15];
	}

	return p;
}

/* RFC 7616 3.4: username, hashed username, or username* */
static char *put_username(char *p, const struct digest_input *in,
			  const struct hex *hash)
{
	if (in->userhash) {
		p = put(p, "username=\"");
		p = put_mem(p, hash->s, hash->l);
		return put(p, "\"");
	}

	if (is_ascii(&in->username)) {
		p = put(p, "username=\"");
		p = put_escaped(p, &in->username);
		return put(p, "\"");
	}

	return put_percent(put(p, "username*=UTF-8''"), &in->username);
}

static bool hash_username(struct hex *hash, struct hasher *h,
			  const struct digest_input *in)
{
	return begin(h, in->algorithm) && add_pl(h, &in->username) &&
	       colon(h) && add_quoted(h, &in->realm) && finish(h, hash);
}

const char *digest_algorithm_name(enum digest_algorithm a)
{
	return a < DIGEST_UNKNOWN ? algorithms[a].name : "?";
}

enum digest_algorithm digest_algorithm(const struct challenge *c)
{
	if (!c->has_algorithm)
		return DIGEST_MD5;

	for (size_t i = 0; i < DIGEST_UNKNOWN; i++)
		if (!pl_strcasecmp(&c->algorithm, algorithms[i].name))
			return (enum digest_algorithm)i;

	return DIGEST_UNKNOWN;
}

int digest_strength(enum digest_algorithm a)
{
	return a < DIGEST_UNKNOWN ? algorithms[a].family + 1 : 0;
}

enum digest_qop digest_qop(const struct challenge *c)
{
	enum digest_qop qop = QOP_UNKNOWN;
	const char *p = c->qop.p, *end = p + c->qop.l;
	bool any = false;

	if (!c->has_qop)
		return QOP_NONE;

	while (p < end) {
		struct pl word = { p, 0 };

		if (*p == ',' || *p == ' ' || *p == '\t') {
			p++;
			continue;
		}
		while (p < end && *p != ',' && *p != ' ' && *p != '\t')
			p++;
		word.l = (size_t)(p - word.p);
		any = true;

		if (is_word(&word, "auth"))
			return QOP_AUTH;
		if (is_word(&word, "auth-int"))
			qop = QOP_AUTH_INT;
	}

	/* qop="" offers nothing: the form without qop is what is left */
	return any ? qop : QOP_NONE;
}

int digest_response(char out[129], const struct digest_input *in, bool rspauth)
{
	struct hasher *h;
	struct hex hex;
	int err = check(in);

	if (err)
		return err;

	h = hasher();
	if (!h)
		return ENOMEM;
	if (!compute(&hex, h, in, rspauth))
		return EIO;

	memcpy(out, hex.s, hex.l + 1);

	return 0;
}

static char *put_line(char *p, const struct digest_input *in,
		      const struct hex *response, const struct hex *user)
{
	char nc[9];

	p = put(p, in->proxy ? "Proxy-Authorization: Digest "
			     : "Authorization: Digest ");
	p = put_username(p, in, user);
	p = put_quoted(p, ", realm=", &in->realm);
	p = put_quoted(p, ", nonce=", &in->nonce);
	p = put_quoted(p, ", uri=", &in->uri);
	p = put(p, ", response=\"");
	p = put_mem(p, response->s, response->l);
	p = put(p, "\"");
	if (in->has_algorithm) {
		p = put(p, ", algorithm=");
		p = put(p, algorithms[in->algorithm].name);
	}
	/* -sess hashes the cnonce in every form, so the peer must see it */
	if (in->qop != QOP_NONE || algorithms[in->algorithm].sess) {
		p = put(p, ", cnonce=\"");
		p = put(p, in->cnonce);
		p = put(p, "\"");
	}
	if (in->qop != QOP_NONE) {
		nc_write(nc, in->nc);
		p = put(p, ", qop=");
		p = put(p, qop_name(in->qop));
		p = put(p, ", nc=");
		p = put(p, nc);
	}
	if (in->has_opaque)
		p = put_quoted(p, ", opaque=", &in->opaque);
	if (in->userhash)
		p = put(p, ", userhash=true");

	return put(p, "\r\n");
}

int digest_write(struct mbuf *mb, const struct digest_input *in)
{
	const size_t most = FIXED + 3 * in->username.l + in->realm.l +
			    in->nonce.l + in->uri.l + strlen(in->cnonce) +
			    in->opaque.l;
	struct hex response, user;
	struct hasher *h;
	char *line;
	int err = check(in);

	if (err)
		return err;
	if (!is_quotable(&in->realm) || !is_quotable(&in->nonce) ||
	    !is_quotable(&in->opaque) || !is_quotable(&in->uri))
		return EINVAL;

	h = hasher();
	if (!h)
		return ENOMEM;
	if (!compute(&response, h, in, false))
		return EIO;
	if (in->userhash && !hash_username(&user, h, in))
		return EIO;
	if (mb->size < mb->end + most && mbuf_resize(mb, mb->end + most))
		return ENOMEM;

	line = (char *)mb->buf + mb->end;
	mb->end += (size_t)(put_line(line, in, &response, &user) - line);
	mb->pos = mb->end;

	return 0;
}
