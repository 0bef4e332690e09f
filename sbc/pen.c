/*
 * Text written into a buffer of fixed size
 */
#include <string.h>
#include "store/number.h"
#include "store/value.h"
#include "sbc/pen.h"
#include "sbc/resolver.h"

void pen_put_mem(struct pen *t, const char *p, size_t l)
{
	if (t->full || l >= t->size - t->l) {
		t->full = true;
		return;
	}
	memcpy(t->p + t->l, p, l);
	t->l += l;
	t->p[t->l] = '\0';
}

void pen_put(struct pen *t, const char *s)
{
	pen_put_mem(t, s, strlen(s));
}

void pen_put_uint(struct pen *t, uint64_t n)
{
	char digits[20];

	pen_put_mem(t, digits, uint_write(digits, n));
}

void pen_put_host(struct pen *t, const char *host)
{
	const char *c = strchr(host, ':');
	bool bare = host[0] != '[' && c && strchr(c + 1, ':');

	pen_put(t, bare ? "[" : "");
	pen_put(t, host);
	pen_put(t, bare ? "]" : "");
}

void pen_put_address(struct pen *t, const struct sa *sa)
{
	char ip[ADDRESS_TEXT];

	(void)address_write(ip, sa, false);
	pen_put_host(t, ip);
}

void pen_put_transport(struct pen *t, uint8_t transport)
{
	/* clang-format off */
	static const char *const params[] = {
		[TRANSPORT_UDP] = "",               [TRANSPORT_TCP] = ";transport=tcp",
		[TRANSPORT_TLS] = ";transport=tls", [TRANSPORT_WS] = ";transport=ws",
		[TRANSPORT_WSS] = ";transport=wss", [TRANSPORT_NONE] = "",
	};
	/* clang-format on */

	pen_put(t, params[transport <= TRANSPORT_NONE ? transport
						      : TRANSPORT_NONE]);
}
