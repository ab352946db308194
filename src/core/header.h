/* The header of typed objects: writing it. Reading and checking is public (isthmus.h). */
#ifndef ISTHMUS_HEADER_H
#define ISTHMUS_HEADER_H

#include <isthmus/isthmus.h>

/* Fill in all but the magic; offsets and sizes are the caller's, creator and time are not. */
void isthmus_header_init(struct isthmus_shared_header *shared,
                         const struct isthmus_shared_header *plan);

/* Declare the object complete. Everything else must have been written before. */
void isthmus_header_publish(struct isthmus_shared_header *shared);

#endif
