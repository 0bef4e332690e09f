/* libre's header, which has no guard of its own and may be included twice */
#pragma once
#include_next <re_types.h>
