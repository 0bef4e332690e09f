/* libre's header, which has no guard of its own and may be included twice */
#pragma once
#include <re_types.h>
#include_next <re_sha.h>
