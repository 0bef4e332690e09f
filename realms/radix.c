/*
 * Longest-prefix tree over addresses and over digits
 *
 * A node of radix stands for a prefix of 0 to 128 bits and has at most two
 * children, both longer. A node of trie stands for the text on the way from the
 * root: each child begins with another character, and a label holds what does
 * not branch.
 */
#include <errno.h>
#include <string.h>
#include "store/base.h"
#include "realms/radix.h"

enum {
	BITS = 128, /* of the longest address */
	LABEL = 14, /* characters in one node of a trie; longer ones chain */
};

struct node {
	uint8_t key[BITS / 8];
	uint8_t bits;
	struct node *child[2];
	void *value; /* NULL: only a branch */
};

struct radix {
	struct node *v4, *v6;
};

struct twig {
	char label[LABEL];
	uint8_t len;         /* of the label */
	uint16_t n;          /* children */
	void *value;         /* owned; NULL: only a branch */
	struct twig **child; /* n of them; behind them their first letters */
};

struct trie {
	struct twig root;
};

/* --- addresses --- */

static unsigned bit_at(const uint8_t *key, unsigned i)
{
	return key[i / 8] >> (7 - i % 8) & 1;
}

/* How many of the first `max` bits are equal */
static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned max)
{
	unsigned i = 0;

	while (i < max && a[i / 8] == b[i / 8])
		i = (i / 8 + 1) * 8;
	if (i >= max)
		return max;
	while (i < max && bit_at(a, i) == bit_at(b, i))
		++i;

	return i;
}

static bool key_of(uint8_t *key, const struct sa *sa)
{
	memset(key, 0, BITS / 8);

	switch (sa_af(sa)) {

	case AF_INET:
		memcpy(key, &sa->u.in.sin_addr, 4);
		return true;

	case AF_INET6:
		memcpy(key, &sa->u.in6.sin6_addr, 16);
		return true;

	default:
		return false;
	}
}

static struct node *node_new(const uint8_t *key, unsigned bits, void *value)
{
	struct node *node = mem_zalloc(sizeof(*node), NULL);
	unsigned i;

	if (!node)
		return NULL;

	for (i = 0; i < bits; ++i)
		node->key[i / 8] |= bit_at(key, i) << (7 - i % 8);
	node->bits = bits;
	node->value = value;

	return node;
}

static void nodes_free(struct node *node)
{
	if (!node)
		return;

	nodes_free(node->child[0]);
	nodes_free(node->child[1]);
	mem_deref(node);
}

/* Put a branch of `common` bits in the place of *at, with both below it */
static int node_split(struct node **at, struct node *leaf, unsigned common)
{
	struct node *branch = node_new(leaf->key, common, NULL);

	if (!branch)
		return ENOMEM;

	branch->child[bit_at(leaf->key, common)] = leaf;
	branch->child[bit_at((*at)->key, common)] = *at;
	*at = branch;

	return 0;
}

static int node_put(struct node **at, const uint8_t *key, unsigned bits,
		    void *value)
{
	unsigned common = 0;
	struct node *leaf;
	int err = 0;

	while (*at) {
		unsigned shorter = (*at)->bits < bits ? (*at)->bits : bits;

		common = common_bits((*at)->key, key, shorter);
		if (common < (*at)->bits || common == bits)
			break;
		at = &(*at)->child[bit_at(key, common)];
	}

	if (*at && (*at)->bits == bits && common == bits) {
		if ((*at)->value)
			return EEXIST;
		(*at)->value = value;
		return 0;
	}

	leaf = node_new(key, bits, value);
	if (!leaf)
		return ENOMEM;

	if (!*at) {
		*at = leaf;
	} else if (common == bits) {
		/* The new prefix holds what is there */
		leaf->child[bit_at((*at)->key, common)] = *at;
		*at = leaf;
	} else {
		err = node_split(at, leaf, common);
		if (err)
			mem_deref(leaf);
	}

	return err;
}

static void radix_destructor(void *arg)
{
	struct radix *r = arg;

	nodes_free(r->v4);
	nodes_free(r->v6);
}

int radix_alloc(struct radix **rp)
{
	struct radix *r = mem_zalloc(sizeof(*r), radix_destructor);

	if (!r)
		return ENOMEM;

	*rp = r;

	return 0;
}

int radix_put(struct radix *r, const struct prefix *at, void *value)
{
	static const uint8_t zero[BITS / 8];
	uint8_t key[BITS / 8];
	int v4, v6;

	if (!value)
		return EINVAL;

	if (at->any) {
		v4 = node_put(&r->v4, zero, 0, value);
		v6 = node_put(&r->v6, zero, 0, value);
		if (v4 == ENOMEM || v6 == ENOMEM)
			return ENOMEM;
		return v4 && v6 ? EEXIST : 0;
	}

	if (!key_of(key, &at->addr))
		return EINVAL;
	if (at->bits > (sa_af(&at->addr) == AF_INET ? 32 : 128))
		return EINVAL;

	return node_put(sa_af(&at->addr) == AF_INET ? &r->v4 : &r->v6, key,
			at->bits, value);
}

void *radix_at(const struct radix *r, const struct prefix *at)
{
	uint8_t key[BITS / 8] = { 0 };
	const struct node *node = r->v4;
	unsigned bits = at->any ? 0 : at->bits;

	if (!at->any) {
		if (!key_of(key, &at->addr))
			return NULL;
		if (sa_af(&at->addr) == AF_INET6)
			node = r->v6;
	}

	while (node && node->bits < bits &&
	       common_bits(node->key, key, node->bits) == node->bits)
		node = node->child[bit_at(key, node->bits)];

	if (!node || node->bits != bits ||
	    common_bits(node->key, key, bits) != bits)
		return NULL;

	return node->value;
}

void *radix_search(const struct radix *r, const struct sa *sa, radix_h *h,
		   void *arg)
{
	const struct node *path[BITS + 1];
	const struct node *node;
	uint8_t key[BITS / 8];
	unsigned width, n = 0;

	if (!key_of(key, sa))
		return NULL;

	width = sa_af(sa) == AF_INET ? 32 : 128;
	node = sa_af(sa) == AF_INET ? r->v4 : r->v6;
	while (node && common_bits(node->key, key, node->bits) == node->bits) {
		if (node->value)
			path[n++] = node;
		if (node->bits == width)
			break;
		node = node->child[bit_at(key, node->bits)];
	}

	while (n--) {
		if (h(path[n]->value, arg))
			return path[n]->value;
	}

	return NULL;
}

static bool first(void *value, void *arg)
{
	(void)value;
	(void)arg;

	return true;
}

void *radix_find(const struct radix *r, const struct sa *sa)
{
	return radix_search(r, sa, first, NULL);
}

/* --- digits --- */

static const char *letters_of(const struct twig *twig)
{
	return (const char *)(twig->child + twig->n);
}

/* Place of the child that begins with the letter; n if there is none */
static unsigned child_place(const struct twig *twig, char letter)
{
	const char *p;

	if (!twig->n)
		return 0;

	p = memchr(letters_of(twig), letter, twig->n);

	return p ? (unsigned)(p - letters_of(twig)) : twig->n;
}

static int child_add(struct twig *twig, struct twig *child)
{
	unsigned n = twig->n;
	struct twig **v;

	v = mem_alloc((n + 1) * (sizeof(*v) + 1), NULL);
	if (!v)
		return ENOMEM;

	if (n) {
		memcpy(v, twig->child, n * sizeof(*v));
		memcpy(v + n + 1, letters_of(twig), n);
	}
	v[n] = child;
	((char *)(v + n + 1))[n] = child->label[0];

	mem_deref(twig->child);
	twig->child = v;
	++twig->n;

	return 0;
}

static void twig_finish(struct twig *twig)
{
	for (unsigned i = 0; i < twig->n; ++i) {
		twig_finish(twig->child[i]);
		mem_deref(twig->child[i]);
	}
	mem_deref(twig->child);
	mem_deref(twig->value);
}

static unsigned common_letters(const struct twig *twig, const char *p, size_t l)
{
	unsigned i = 0;

	while (i < twig->len && i < l && twig->label[i] == p[i])
		++i;

	return i;
}

/*
 * Cut the label of a child after `len` letters. The child itself keeps what is
 * below it and its address, for its slot was given away; a new twig comes
 * between it and its parent.
 */
static int twig_split(struct twig *parent, unsigned place, unsigned len)
{
	struct twig *below = parent->child[place];
	struct twig *between = mem_zalloc(sizeof(*between), NULL);
	char label[LABEL];
	int err;

	if (!between)
		return ENOMEM;

	memcpy(between->label, below->label, len);
	between->len = len;

	memcpy(label, below->label, LABEL);
	below->len -= len;
	memcpy(below->label, label + len, below->len);
	err = child_add(between, below);
	if (err) {
		memcpy(below->label, label, LABEL);
		below->len += len;
		mem_deref(between);
		return err;
	}

	parent->child[place] = between;

	return 0;
}

static int twig_new(struct twig **twigp, struct twig *parent, const char *p,
		    size_t l)
{
	struct twig *twig = mem_zalloc(sizeof(*twig), NULL);
	int err;

	if (!twig)
		return ENOMEM;

	twig->len = l < LABEL ? l : LABEL;
	memcpy(twig->label, p, twig->len);

	err = child_add(parent, twig);
	if (err) {
		mem_deref(twig);
		return err;
	}

	*twigp = twig;

	return 0;
}

static void trie_destructor(void *arg)
{
	struct trie *t = arg;

	twig_finish(&t->root);
}

int trie_alloc(struct trie **tp)
{
	struct trie *t = mem_zalloc(sizeof(*t), trie_destructor);

	if (!t)
		return ENOMEM;

	*tp = t;

	return 0;
}

int trie_slot(void ***slotp, struct trie *t, const struct pl *text)
{
	struct twig *twig = &t->root;
	const char *p = text->p;
	size_t l = text->l;
	int err;

	while (l) {
		unsigned place = child_place(twig, *p);
		struct twig *next;
		unsigned n;

		if (place == twig->n) {
			err = twig_new(&next, twig, p, l);
			if (err)
				return err;
		}

		n = common_letters(twig->child[place], p, l);
		if (n < twig->child[place]->len) {
			err = twig_split(twig, place, n);
			if (err)
				return err;
		}

		twig = twig->child[place];
		p += n;
		l -= n;
	}

	*slotp = &twig->value;

	return 0;
}

void *trie_at(const struct trie *t, const struct pl *text)
{
	const struct twig *twig = &t->root;
	const char *p = text->p;
	size_t l = text->l;

	while (l) {
		unsigned place = child_place(twig, *p);

		if (place == twig->n)
			return NULL;
		twig = twig->child[place];
		if (common_letters(twig, p, l) < twig->len)
			return NULL;
		p += twig->len;
		l -= twig->len;
	}

	return twig->value;
}

void trie_walk(const struct trie *t, const struct pl *text, trie_h *h,
	       void *arg)
{
	const struct twig *twig = &t->root;
	const char *p = text->p;
	size_t l = text->l;

	for (;;) {
		unsigned place;

		if (twig->value && h(twig->value, text->l - l, arg))
			return;
		if (!l)
			return;

		place = child_place(twig, *p);
		if (place == twig->n)
			return;

		twig = twig->child[place];
		if (common_letters(twig, p, l) < twig->len)
			return;
		p += twig->len;
		l -= twig->len;
	}
}
