/*
 * Why a request ends: code, phrase, Retry-After, Reason
 */
#include <stddef.h>
#include "policy/cause.h"

struct status {
	uint16_t code, q850;
	const char *phrase;
};

/* By code. Q.850: RFC 3398 8.2.6.1, which leaves 488 and 606 to the Warning;
 * they get 65, from which 7.2.4.1 makes a 488. 487 is no failure of the call. */
/* clang-format off */
static const struct status table[] = {
	{ 100, 0, "Trying" },
	{ 180, 0, "Ringing" },
	{ 181, 0, "Call Is Being Forwarded" },
	{ 182, 0, "Queued" },
	{ 183, 0, "Session Progress" },
	{ 199, 0, "Early Dialog Terminated" },
	{ 200, 0, "OK" },
	{ 202, 0, "Accepted" },
	{ 204, 0, "No Notification" },
	{ 300, 0, "Multiple Choices" },
	{ 301, 0, "Moved Permanently" },
	{ 302, 0, "Moved Temporarily" },
	{ 305, 0, "Use Proxy" },
	{ 380, 0, "Alternative Service" },
	{ 400, 41, "Bad Request" },
	{ 401, 21, "Unauthorized" },
	{ 402, 21, "Payment Required" },
	{ 403, 21, "Forbidden" },
	{ 404, 1, "Not Found" },
	{ 405, 63, "Method Not Allowed" },
	{ 406, 79, "Not Acceptable" },
	{ 407, 21, "Proxy Authentication Required" },
	{ 408, 102, "Request Timeout" },
	{ 410, 22, "Gone" },
	{ 412, 0, "Conditional Request Failed" },
	{ 413, 127, "Request Entity Too Large" },
	{ 414, 127, "Request-URI Too Long" },
	{ 415, 79, "Unsupported Media Type" },
	{ 416, 127, "Unsupported URI Scheme" },
	{ 417, 0, "Unknown Resource-Priority" },
	{ 420, 127, "Bad Extension" },
	{ 421, 127, "Extension Required" },
	{ 422, 0, "Session Interval Too Small" },
	{ 423, 127, "Interval Too Brief" },
	{ 424, 0, "Bad Location Information" },
	{ 428, 0, "Use Identity Header" },
	{ 429, 0, "Provide Referrer Identity" },
	{ 430, 0, "Flow Failed" },
	{ 433, 0, "Anonymity Disallowed" },
	{ 436, 0, "Bad Identity-Info" },
	{ 437, 0, "Unsupported Certificate" },
	{ 438, 0, "Invalid Identity Header" },
	{ 439, 0, "First Hop Lacks Outbound Support" },
	{ 440, 0, "Max-Breadth Exceeded" },
	{ 469, 0, "Bad Info Package" },
	{ 470, 0, "Consent Needed" },
	{ 480, 18, "Temporarily Unavailable" },
	{ 481, 41, "Call/Transaction Does Not Exist" },
	{ 482, 25, "Loop Detected" },
	{ 483, 25, "Too Many Hops" },
	{ 484, 28, "Address Incomplete" },
	{ 485, 1, "Ambiguous" },
	{ 486, 17, "Busy Here" },
	{ 487, 0, "Request Terminated" },
	{ 488, 65, "Not Acceptable Here" },
	{ 489, 0, "Bad Event" },
	{ 491, 0, "Request Pending" },
	{ 493, 0, "Undecipherable" },
	{ 494, 0, "Security Agreement Required" },
	{ 500, 41, "Server Internal Error" },
	{ 501, 79, "Not Implemented" },
	{ 502, 38, "Bad Gateway" },
	{ 503, 41, "Service Unavailable" },
	{ 504, 102, "Server Time-out" },
	{ 505, 127, "Version Not Supported" },
	{ 513, 127, "Message Too Large" },
	{ 555, 0, "Push Notification Service Not Supported" },
	{ 580, 0, "Precondition Failure" },
	{ 600, 17, "Busy Everywhere" },
	{ 603, 21, "Decline" },
	{ 604, 1, "Does Not Exist Anywhere" },
	{ 606, 65, "Not Acceptable" },
	{ 607, 0, "Unwanted" },
	{ 608, 0, "Rejected" },
};
/* clang-format on */

static const struct status *find(uint16_t code)
{
	size_t low = 0, high = sizeof(table) / sizeof(*table), mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (table[mid].code == code)
			return &table[mid];
		if (table[mid].code < code)
			low = mid + 1;
		else
			high = mid;
	}

	return NULL;
}

/* RFC 3261 8.1.3.2: an unknown code is treated as the x00 of its class, and an
 * unknown 1xx as 183 */
const char *cause_phrase(uint16_t code)
{
	const struct status *s = find(code);

	if (!s)
		s = find(code < 200 ? 183 : (uint16_t)(code / 100 * 100));

	return s ? s->phrase : "Unknown";
}

uint16_t cause_q850(uint16_t code)
{
	const struct status *s = find(code);

	if (!s && code >= 400)
		s = find((uint16_t)(code / 100 * 100));

	return s ? s->q850 : 0;
}

/* Lower is better. RFC 3261 16.7 step 6: a 6xx before all but success, else
 * the lowest class; in 4xx those that tell the caller what to do about it. */
static unsigned rank(uint16_t code)
{
	switch (code / 100) {
	case 2:
		return 0;
	case 6:
		return 1;
	case 3:
		return 2;
	case 4:
		return code == 401 || code == 407 || code == 415 ||
				       code == 420 || code == 484
			       ? 3
			       : 4;
	case 5:
		return 5;
	default:
		return 6;
	}
}

bool cause_is_better(uint16_t a, uint16_t b)
{
	return rank(b) <= rank(a);
}
